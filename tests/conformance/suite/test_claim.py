"""Claims: which jobs, in which order, how many, and the content of a claim."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit
from server_jobs.domain.record import ClaimRequest, Completed, Heartbeat, JobStatus, KnownJob
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    IMPORT,
    LEASE,
    MILLISECOND,
    SECOND,
    SEND,
    START,
    claim_on,
    completed,
    failed,
    ids,
    insert_and_claim,
    job,
    read,
    reclaim,
    request,
)

_LIMITED = KnownJob("SendEmail", 1, ConcurrencyLimit(limit=5))


async def test_a_claim_starts_an_attempt_under_a_lease(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    clock.advance(SECOND)

    (claim,) = await store.claim(request(lease=timedelta(minutes=2)))

    record = await read(store, "a")
    assert record.status is JobStatus.RUNNING
    assert record.attempt_count == 1
    assert record.worker_started_at == record.updated_at == clock.now()
    assert record.worker_expires_at == clock.now() + timedelta(minutes=2)
    assert record.fencing_token == claim.token
    assert record.created_at == START


async def test_a_claim_has_the_columns_that_its_handler_needs(store: Store, clock: FakeClock) -> None:
    plain = job("plain")
    full = job(
        "full",
        "ImportCsv",
        params='{"rows":[1,"é"]}',
        spec_version=3,
        max_attempts=7,
        correlation_id="order-17",
        headers='{"trace":"é"}',
    )
    limited = full._replace(id="limited", concurrency_key="ada", rate_key="")
    await store.insert([plain, full, limited])
    of_limited = KnownJob("ImportCsv", 3, ConcurrencyLimit(limit=5))

    claims = [
        *await store.claim(request(SEND, limit=1)),
        *await store.claim(request(SEND, KnownJob("ImportCsv", 3), limit=1)),
        *await store.claim(request(SEND, of_limited)),
        await store.start(full._replace(id="started"), LEASE),
        await insert_and_claim(store, full._replace(id="by its id")),
    ]

    assert ids(claims) == ["plain", "full", "limited", "started", "by its id"]
    assert claims == [claim_on(await read(store, claim.id)) for claim in claims]
    assert claims[0][:7] == ("plain", "SendEmail", 1, "{}", 1, 3, None)
    assert {claim[1:7] for claim in claims[1:]} == {("ImportCsv", 3, '{"rows":[1,"é"]}', 1, 7, "order-17")}
    assert {claim.headers for claim in claims[1:]} == {'{"trace":"é"}'}


async def test_a_claim_has_the_time_at_which_the_job_was_due(store: Store, clock: FakeClock) -> None:
    await store.insert([job("now"), job("later", scheduled_for=START + SECOND)])
    clock.advance(5 * SECOND)
    claims = {claim.id: claim for claim in await store.claim(request())}
    await store.settle([failed(claims["now"], retry_after=SECOND)])
    clock.advance(5 * SECOND)

    retried = await reclaim(store, "now")

    assert (claims["now"].due_at, claims["later"].due_at) == (START, START + SECOND)
    assert retried.due_at == START + 6 * SECOND


async def test_a_claimed_job_is_not_claimed_again(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    await store.claim(request())

    assert list(await store.claim(request())) == []


async def test_every_claim_has_its_own_token(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b"), job("c")])

    tokens: list[str | None] = []
    for _ in range(2):
        claims = await store.claim(request())
        stored = [(await read(store, claim.id)).fencing_token for claim in claims]
        assert stored == [claim.token for claim in claims]
        tokens += stored
        await store.settle([failed(claim, retry_after=timedelta(0)) for claim in claims])

    assert len(set(tokens)) == 6
    assert all(len(token or "") > 32 for token in tokens)


async def test_each_claim_counts_one_attempt(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", max_attempts=3)])

    for attempt in (1, 2, 3):
        (claim,) = await store.claim(request())
        assert claim.attempt == attempt
        await store.settle([failed(claim, retry_after=timedelta(0))])

    assert list(await store.claim(request())) == []
    assert (await read(store, "a")).status is JobStatus.FAILED


async def test_no_more_jobs_that_were_attempted_before_than_the_request_allows(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abcd"])
    await store.settle([failed(claim, retry_after=timedelta(0)) for claim in await store.claim(request())])
    await store.insert([job("e"), job("f")])

    first = await store.claim(request(slots=2))
    rest = await store.claim(request(limit=2))

    assert ids(first) == ["a", "b", "e", "f"]
    assert ids(rest) == ["c", "d"]


async def test_a_surplus_of_attempted_jobs_does_not_raise_the_claim_of_others(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abc"])
    await store.settle([failed(claim, retry_after=timedelta(0)) for claim in await store.claim(request())])
    await store.insert([job("d"), job("e")])

    assert ids(await store.claim(request(limit=4, slots=0))) == ["d"]


async def test_jobs_that_have_a_single_attempt_are_claimed_for_free_slots_only(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", max_attempts=1), job("b", max_attempts=1), job("c"), job("d")])

    assert ids(await store.claim(request(slots=1))) == ["a", "c", "d"]
    assert ids(await store.claim(request(slots=0))) == []
    assert ids(await store.claim(request(slots=1))) == ["b"]


async def test_progress_is_reset_at_each_attempt(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.renew([Heartbeat(id="a", token=claim.token, progress=60, message="row 600")], LEASE)
    await store.settle([failed(claim, retry_after=timedelta(0))])

    await store.claim(request())

    record = await read(store, "a")
    assert (record.progress, record.progress_message) == (0, None)


async def test_the_error_of_the_last_attempt_is_kept_while_the_next_one_runs(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([failed(claim, "first try", retry_after=timedelta(0))])

    await store.claim(request())

    assert (await read(store, "a")).error == "first try"


async def test_a_job_is_claimed_from_its_due_time_on_and_not_before(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", scheduled_for=START + SECOND)])

    clock.advance(SECOND - MILLISECOND)
    assert list(await store.claim(request())) == []

    clock.advance(MILLISECOND)
    assert ids(await store.claim(request())) == ["a"]


async def test_the_highest_priority_is_claimed_first_then_the_longest_due_then_the_lowest_id(
    store: Store, clock: FakeClock
) -> None:
    await store.insert(
        [
            job("c", priority=1, scheduled_for=START - SECOND),
            job("b", priority=1, scheduled_for=START),
            job("a", priority=1, scheduled_for=START),
            job("f", priority=-5, scheduled_for=START - timedelta(days=1)),
            job("e", priority=9),
            job("d", priority=9),
        ]
    )

    assert ids(await store.claim(request(limit=2))) == ["d", "e"]
    assert ids(await store.claim(request(limit=10))) == ["c", "a", "b", "f"]


async def test_exactly_as_many_jobs_are_claimed_as_asked_for_or_as_are_due(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:02}") for number in range(10)] + [job("later", delay=SECOND)])

    assert list(await store.claim(request(limit=0))) == []
    assert len(await store.claim(request(limit=4))) == 4
    assert len(await store.claim(request(limit=100))) == 6
    assert len(await store.claim(request(limit=100))) == 0


async def test_only_jobs_of_known_names_and_versions_are_claimed(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [
            job("old", spec_version=1),
            job("new", spec_version=2),
            job("other", "ImportCsv", spec_version=2),
            job("unknown", "Vacuum", spec_version=2),
        ]
    )
    before = {job_id: await read(store, job_id) for job_id in ("old", "other", "unknown")}

    assert ids(await store.claim(request(KnownJob("SendEmail", 2), KnownJob("ImportCsv", 1)))) == ["new"]
    assert {job_id: await read(store, job_id) for job_id in before} == before


async def test_a_worker_may_know_two_versions_of_one_job(store: Store, clock: FakeClock) -> None:
    await store.insert([job("1", spec_version=1), job("2", spec_version=2), job("3", spec_version=3)])

    assert ids(await store.claim(request(KnownJob("SendEmail", 1), KnownJob("SendEmail", 2)))) == ["1", "2"]


@pytest.mark.parametrize("asked", [request(), request(_LIMITED)], ids=["without limits", "with limits"])
async def test_claims_and_expired_leases_name_the_queue_of_the_row(
    store: Store, clock: FakeClock, asked: ClaimRequest
) -> None:
    key = "" if asked.known[0].is_limited else None
    new = job("a", asked.known[0].name, queue="mail", concurrency_key=key, rate_key=key)
    await store.insert([new, new._replace(id="b"), new._replace(id="c")])
    one = await store.claim_one("a", asked)
    started = await store.start(new._replace(id="d"), asked.lease)

    claims = await store.claim(asked)

    assert [one.queue if one else "", started.queue, *(claim.queue for claim in claims)] == ["mail"] * 4
    clock.advance(2 * asked.lease)
    assert [over.queue for over in await store.expire(jitter=timedelta(0))] == ["mail"] * 4


async def test_only_the_queues_asked_for_are_claimed_from(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", queue="mail"), job("b", queue="slow"), job("c", queue="default")])

    assert ids(await store.claim(request(queues=("mail", "nothing")))) == ["a"]
    assert ids(await store.claim(request(queues=()))) == []
    assert ids(await store.claim(request(queues=None))) == ["b", "c"]


async def test_a_concurrency_limit_holds_within_one_batch(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abcde"])

    assert ids(await store.claim(request(KnownJob("SendEmail", 1, ConcurrencyLimit(limit=2))))) == ["a", "b"]


async def test_a_concurrency_limit_holds_over_all_workers(store: Store, clock: FakeClock) -> None:
    limited = request(KnownJob("SendEmail", 1, ConcurrencyLimit(limit=2)))
    running = await store.start(job("started"), LEASE)
    await store.insert([job(name) for name in "abcde"])

    assert ids(await store.claim(limited)) == ["a"]
    assert ids(await store.claim(limited)) == []

    await store.settle([completed(running)])
    assert ids(await store.claim(limited)) == ["b"]


async def test_a_concurrency_limit_counts_the_runs_of_every_version(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b", spec_version=2)])
    await store.claim(request(KnownJob("SendEmail", 1, ConcurrencyLimit(limit=1))))

    assert ids(await store.claim(request(KnownJob("SendEmail", 2, ConcurrencyLimit(limit=1))))) == []


async def test_a_full_job_leaves_the_room_in_a_batch_to_other_jobs(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name, priority=5) for name in "abc"])
    await store.insert([job(name, "ImportCsv") for name in "xyz"])

    claims = await store.claim(request(KnownJob("SendEmail", 1, ConcurrencyLimit(limit=1)), IMPORT, limit=3))

    assert ids(claims) == ["a", "x", "y"]


async def test_two_jobs_have_two_concurrency_limits(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abc"] + [job(name, "ImportCsv", priority=1) for name in "xyz"])

    claims = await store.claim(
        request(
            KnownJob("SendEmail", 1, ConcurrencyLimit(limit=1)), KnownJob("ImportCsv", 1, ConcurrencyLimit(limit=2))
        )
    )

    assert ids(claims) == ["x", "y", "a"]


async def test_an_expired_run_makes_room_under_a_concurrency_limit(store: Store, clock: FakeClock) -> None:
    limited = request(KnownJob("SendEmail", 1, ConcurrencyLimit(limit=1)))
    await store.insert([job("a", max_attempts=1), job("b")])
    await store.claim(limited)
    clock.advance(LEASE + SECOND)
    assert ids(await store.claim(limited)) == []

    await store.expire(jitter=timedelta(0))

    assert ids(await store.claim(limited)) == ["b"]


async def test_workers_that_claim_at_the_same_time_get_different_jobs(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:03}") for number in range(60)])

    batches = await asyncio.gather(*(store.claim(request(limit=7)) for _ in range(10)))

    claimed = [claim.id for batch in batches for claim in batch]
    assert sorted(claimed) == [f"{number:03}" for number in range(60)]


async def test_one_job_is_claimed_by_its_id_even_before_it_is_due(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", delay=timedelta(days=1)), job("b", priority=100)])

    claim = await store.claim_one("a", request())

    assert claim is not None
    assert (claim.id, claim.attempt) == ("a", 1)
    assert claim == claim_on(await read(store, "a"))
    assert (await read(store, "b")).status is JobStatus.PENDING


async def test_one_job_is_not_claimed_by_its_id_if_its_name_or_version_is_unknown(
    store: Store, clock: FakeClock
) -> None:
    await store.insert([job("name", "Vacuum"), job("version", spec_version=2)])

    assert await store.claim_one("name", request()) is None
    assert await store.claim_one("version", request(SEND, IMPORT)) is None
    assert await store.claim_one("nobody", request()) is None
    assert (await read(store, "name")).status is JobStatus.PENDING


async def test_one_job_is_claimed_by_its_id_only_while_it_is_pending(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    assert await store.claim_one("a", request()) is None

    await store.settle([Completed(id="a", token=claim.token, result="{}")])
    assert await store.claim_one("a", request()) is None
