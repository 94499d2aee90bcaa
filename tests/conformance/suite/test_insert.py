"""Enqueueing: `insert` and `start`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import Inserted, JobQuery, JobRecord, JobStatus
from server_jobs.errors import DuplicateJobError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    SECOND,
    START,
    claim_on,
    completed,
    failed,
    finish,
    ids,
    insert_and_claim,
    job,
    read,
    request,
)


async def test_a_new_job_is_pending_and_due_at_once(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", params='{"to":"ada@example.com"}')])

    assert await store.get("a") == JobRecord(
        id="a",
        job_name="SendEmail",
        params='{"to":"ada@example.com"}',
        status=JobStatus.PENDING,
        created_at=clock.now(),
        updated_at=clock.now(),
        scheduled_for=clock.now(),
    )


async def test_every_option_of_a_new_job_is_stored(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [
            job(
                "a",
                "ImportCsv",
                params="[1]",
                queue="slow",
                priority=-7,
                spec_version=3,
                max_attempts=9,
                scheduled_for=START + timedelta(days=1),
                unique_key="k",
                correlation_id="order-17",
            )
        ]
    )

    assert await store.get("a") == JobRecord(
        id="a",
        job_name="ImportCsv",
        params="[1]",
        status=JobStatus.PENDING,
        created_at=clock.now(),
        updated_at=clock.now(),
        queue="slow",
        priority=-7,
        spec_version=3,
        max_attempts=9,
        scheduled_for=START + timedelta(days=1),
        unique_key="k",
        correlation_id="order-17",
    )


async def test_a_delay_counts_from_the_clock_of_the_store(store: Store, clock: FakeClock) -> None:
    clock.advance(timedelta(hours=5))

    await store.insert([job("a", delay=timedelta(minutes=10))])

    assert (await read(store, "a")).scheduled_for == clock.now() + timedelta(minutes=10)


async def test_a_due_time_wins_over_a_delay(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", scheduled_for=START + SECOND, delay=timedelta(days=1))])

    assert (await read(store, "a")).scheduled_for == START + SECOND


async def test_an_empty_batch_inserts_nothing(store: Store, clock: FakeClock) -> None:
    assert list(await store.insert([])) == []
    assert list(await store.count_jobs()) == []


async def test_answers_to_an_insert_come_in_the_order_of_the_jobs(store: Store, clock: FakeClock) -> None:
    await store.insert([job("b"), job("held", unique_key="k")])

    answers = await store.insert([job("d"), job("b"), job("c", unique_key="k"), job("a"), job("e", unique_key="new")])

    assert list(answers) == [
        Inserted("d", created=True),
        Inserted("b", created=False),
        Inserted("held", created=False),
        Inserted("a", created=True),
        Inserted("e", created=True),
    ]


async def test_a_batch_of_a_thousand_jobs_is_stored_whole(store: Store, clock: FakeClock) -> None:
    jobs = [job(f"{number:04}", priority=number % 3) for number in range(1000)]

    answers = await store.insert(jobs)

    assert [answer.id for answer in answers] == [new.id for new in jobs]
    assert all(answer.created for answer in answers)
    assert sum(count.count for count in await store.count_jobs()) == 1000


async def test_an_id_that_is_stored_already_is_not_stored_again(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", params='{"n":1}')])
    before = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.insert([job("a", params='{"n":2}')])) == [Inserted("a", created=False)]
    assert await read(store, "a") == before


async def test_a_batch_that_is_stored_already_is_not_taken_for_new(store: Store, clock: FakeClock) -> None:
    early, late = [job("a"), job("b")], [job("c"), job("d")]
    await store.insert(early)
    await store.insert(late)

    for batch in (early, late):
        assert list(await store.insert(batch)) == [Inserted(one.id, created=False) for one in batch]


@pytest.mark.parametrize("keys", [(None, None), ("k", "l")])
@pytest.mark.parametrize("on_conflict", OnConflict)
async def test_a_batch_that_arrives_several_times_at_once_is_stored_once(
    store: Store, clock: FakeClock, on_conflict: OnConflict, keys: tuple[str | None, str | None]
) -> None:
    batch = [job("a", unique_key=keys[0], on_conflict=on_conflict), job("b", unique_key=keys[1])]

    await asyncio.gather(*(store.insert(batch) for _ in range(4)))

    assert {one.id for one in await store.list_jobs(JobQuery())} == {"a", "b"}


async def test_inserting_the_id_of_a_finished_job_again_does_not_wake_it(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([completed(claim)])
    before = await read(store, "a")

    assert list(await store.insert([job("a")])) == [Inserted("a", created=False)]
    assert await read(store, "a") == before


async def test_an_id_given_twice_in_one_batch_is_stored_once(store: Store, clock: FakeClock) -> None:
    answers = await store.insert([job("a", params="1"), job("a", params="2")])

    assert list(answers) == [Inserted("a", created=True), Inserted("a", created=False)]
    assert (await read(store, "a")).params == "1"


async def test_a_unique_key_has_at_most_one_unfinished_job(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", unique_key="k")])

    assert list(await store.insert([job("b", unique_key="k")])) == [Inserted("a", created=False)]
    await store.claim(request())
    assert list(await store.insert([job("c", unique_key="k")])) == [Inserted("a", created=False)]

    assert await store.get("b") is None
    assert await store.get("c") is None


async def test_a_unique_key_given_twice_in_one_batch_makes_one_job(store: Store, clock: FakeClock) -> None:
    answers = await store.insert([job("a", unique_key="k"), job("b", unique_key="k"), job("c", unique_key="k")])

    assert list(answers) == [Inserted("a", True), Inserted("a", False), Inserted("a", False)]
    assert ids(await store.claim(request())) == ["a"]


async def test_a_job_waiting_for_its_next_attempt_keeps_its_unique_key(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", unique_key="k"))
    await store.settle([failed(claim, retry_after=SECOND)])

    assert list(await store.insert([job("b", unique_key="k")])) == [Inserted("a", created=False)]


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
async def test_a_unique_key_is_free_again_when_its_job_has_finished(
    store: Store, clock: FakeClock, status: JobStatus
) -> None:
    claim = await insert_and_claim(store, job("a", unique_key="k"))
    await finish(store, claim, status)

    assert list(await store.insert([job("b", unique_key="k")])) == [Inserted("b", created=True)]


async def test_a_stored_id_is_returned_even_if_another_job_has_its_key(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", unique_key="k"))
    await store.settle([completed(claim)])
    await store.insert([job("b", unique_key="k")])

    assert list(await store.insert([job("a", unique_key="k")])) == [Inserted("a", created=False)]


async def test_jobs_without_a_unique_key_never_collide(store: Store, clock: FakeClock) -> None:
    answers = await store.insert([job("a"), job("b"), job("c", unique_key="")])

    assert [answer.created for answer in answers] == [True, True, True]


async def test_a_started_job_is_running_and_claimed_by_the_caller(store: Store, clock: FakeClock) -> None:
    claim = await store.start(job("a", unique_key="k"), LEASE)

    record = await read(store, "a")
    assert record == JobRecord(
        id="a",
        job_name="SendEmail",
        params="{}",
        status=JobStatus.RUNNING,
        created_at=clock.now(),
        updated_at=clock.now(),
        attempt_count=1,
        scheduled_for=clock.now(),
        worker_started_at=clock.now(),
        worker_expires_at=clock.now() + LEASE,
        unique_key="k",
        fencing_token=claim.token,
    )
    assert claim == claim_on(record)


async def test_a_started_job_was_due_when_it_was_started(store: Store, clock: FakeClock) -> None:
    await store.start(job("a", delay=timedelta(days=1)), LEASE)
    await store.start(job("b", scheduled_for=START + timedelta(days=1)), LEASE)

    assert {(await read(store, name)).scheduled_for for name in "ab"} == {clock.now()}


async def test_a_started_job_is_not_claimed_again(store: Store, clock: FakeClock) -> None:
    await store.start(job("a"), LEASE)

    assert list(await store.claim(request())) == []
    assert await store.claim_one("a", request()) is None


async def test_a_started_job_can_be_completed_by_its_claim(store: Store, clock: FakeClock) -> None:
    claim = await store.start(job("a"), LEASE)

    assert list(await store.settle([completed(claim, '{"ok":true}')])) == [JobStatus.COMPLETED]
    assert (await read(store, "a")).result == '{"ok":true}'


async def test_a_job_is_not_started_while_its_unique_key_is_in_use(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", unique_key="k")])

    with pytest.raises(DuplicateJobError) as raised:
        await store.start(job("b", unique_key="k"), LEASE)

    assert (raised.value.unique_key, raised.value.job_id) == ("k", "a")
    assert await store.get("b") is None


async def test_an_id_is_started_once(store: Store, clock: FakeClock) -> None:
    await store.start(job("a"), LEASE)
    started = await read(store, "a")

    with pytest.raises(DuplicateJobError) as raised:
        await store.start(job("a"), LEASE)

    assert raised.value.job_id == "a"
    assert await read(store, "a") == started
