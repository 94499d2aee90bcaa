"""Late jobs: no attempt starts after `start_before`, and the job is cancelled instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import (
    MOST_LATE,
    UNREADABLE,
    ClaimRequest,
    Ended,
    Inserted,
    JobFilter,
    JobStatus,
    KnownJob,
    LateJob,
    Outcome,
    Repair,
)
from server_jobs.errors import DuplicateJobError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    MILLISECOND,
    SECOND,
    START,
    completed,
    failed,
    firing,
    ids,
    insert_and_claim,
    job,
    read,
    request,
    schedule,
)

MINUTE = timedelta(minutes=1)
CRAWL = KnownJob("Crawl", 1, concurrency=ConcurrencyLimit(limit=100, by=("/site",)))
PACED = KnownJob("Crawl", 1, rate=RateLimit(limit=100, per=MINUTE))
EXPIRED = "expired: it had to start by 2026-01-01 00:01:00 UTC"


@pytest.mark.parametrize(
    ("delay", "scheduled_for", "due"),
    [
        (timedelta(0), None, START),
        (timedelta(hours=1), None, START + timedelta(hours=1)),
        (timedelta(0), START + timedelta(days=1), START + timedelta(days=1)),
        (timedelta(0), START - timedelta(days=1), START - timedelta(days=1)),
    ],
    ids=["at once", "delayed", "scheduled", "due in the past"],
)
async def test_the_time_to_start_counts_from_the_due_time(
    store: Store, delay: timedelta, scheduled_for: datetime | None, due: datetime
) -> None:
    new = job("a", delay=delay, scheduled_for=scheduled_for, expires_after=MINUTE)
    await store.insert([new, new._replace(id="b"), new._replace(id="c", expires_after=None)])

    found = [await read(store, job_id) for job_id in "abc"]

    assert [record.start_before for record in found] == [due + MINUTE, due + MINUTE, None]
    assert [record.scheduled_for for record in found] == [due, due, due]


@pytest.mark.parametrize("asked", [request(), request(CRAWL), request(PACED)], ids=["plain", "concurrency", "rate"])
async def test_an_attempt_may_start_up_to_and_including_the_last_instant(
    store: Store, clock: FakeClock, asked: ClaimRequest
) -> None:
    name = asked.known[0].name
    key = "" if asked.known[0].is_limited else None
    new = job("a", name, expires_after=MINUTE, concurrency_key=key, rate_key=key)
    await store.insert([new, new._replace(id="b"), new._replace(id="later", expires_after=None)])
    clock.advance(MINUTE)

    assert (await store.pending_work(asked)).has_late is False
    assert ids(await store.claim(replace(asked, limit=1))) == ["a"]

    clock.advance(MILLISECOND)

    work = await store.pending_work(asked)
    assert (work.has_late, work.has_due_job) == (True, True)
    assert await store.claim_one("b", asked) is None
    assert await store.count_due(asked) == 1
    assert ids(await store.claim(asked)) == ["later"]
    work = await store.pending_work(asked)
    assert (work.has_late, work.has_due_job) == (True, False)
    assert (await store.upcoming_work(asked)).until_due is None
    assert (await read(store, "b")).attempt_count == 0


async def test_a_job_is_not_late_at_the_last_instant(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", expires_after=MINUTE, unique_key="k")])
    clock.advance(MINUTE)

    assert list(await store.cancel_late()) == []
    assert [answer.id for answer in await store.insert([job("b", unique_key="k")])] == ["a"]
    with pytest.raises(DuplicateJobError):
        await store.start(job("c", unique_key="k"), LEASE)
    await store.save_schedules([schedule()])
    assert list(await store.fire(firing(clock.now(), next_run_at=clock.now() + MINUTE, unique_key="k"))) == [False]

    assert ids(await store.claim(request())) == ["a"]


async def test_a_running_job_keeps_its_unique_key_after_the_last_instant_to_start(
    store: Store, clock: FakeClock
) -> None:
    await insert_and_claim(store, job("a", expires_after=MINUTE, unique_key="k"))
    clock.advance(MINUTE + SECOND)

    assert list(await store.insert([job("b", unique_key="k")])) == [Inserted("a", created=False)]
    with pytest.raises(DuplicateJobError):
        await store.start(job("c", unique_key="k"), LEASE)
    await store.save_schedules([schedule()])
    assert list(await store.fire(firing(clock.now(), next_run_at=clock.now() + MINUTE, unique_key="k"))) == [False]
    assert list(await store.cancel_late()) == []

    assert (await read(store, "a")).status is JobStatus.RUNNING


async def test_late_jobs_do_not_block_the_jobs_behind_them(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"late {n:03}", priority=n % 3, expires_after=MINUTE) for n in range(300)])
    clock.advance(MINUTE + SECOND)
    await store.insert([job("a", priority=-1), job("b", priority=-1, queue="other")])

    assert ids(await store.claim(request(limit=1))) == ["a"]
    assert ids(await store.claim(request(limit=1))) == ["b"]


async def test_a_late_job_is_cancelled_and_says_why(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", expires_after=MINUTE), job("b", expires_after=2 * MINUTE), job("c")])
    assert list(await store.cancel_late()) == []
    clock.advance(MINUTE + SECOND)
    before = await read(store, "a")

    assert list(await store.cancel_late()) == [LateJob("a", "SendEmail")]

    assert await read(store, "a") == replace(
        before, status=JobStatus.CANCELLED, error=EXPIRED, completed_at=clock.now(), updated_at=clock.now()
    )
    assert [(await read(store, job_id)).status for job_id in "bc"] == [JobStatus.PENDING] * 2
    assert list(await store.cancel_late()) == []


async def test_a_late_job_loses_the_class_of_its_last_error(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", expires_after=MINUTE))
    boom = failed(claim, retry_after=timedelta(0))._replace(ended=Ended(Outcome.FAILED, "ValueError"))
    await store.settle([boom])
    clock.advance(MINUTE + SECOND)
    await store.cancel_late()

    record = await read(store, "a")
    assert (record.status, record.error, record.error_class) == (JobStatus.CANCELLED, EXPIRED, None)


async def test_late_jobs_are_cancelled_in_steps_the_oldest_first(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{n:04}", delay=n * MILLISECOND, expires_after=MINUTE) for n in range(MOST_LATE + 2)])
    clock.advance(timedelta(hours=1))

    first = await store.cancel_late()
    rest = await store.cancel_late()

    assert len(first) == MOST_LATE
    assert sorted(late.id for late in rest) == [f"{n:04}" for n in (MOST_LATE, MOST_LATE + 1)]


async def test_a_retry_does_not_start_late_either(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", expires_after=MINUTE))
    await store.settle([failed(claim, "boom", retry_after=2 * MINUTE)])
    clock.advance(2 * MINUTE)

    assert ids(await store.claim(request())) == []
    assert list(await store.cancel_late()) == [LateJob("a", "SendEmail")]
    record = await read(store, "a")
    assert (record.status, record.error, record.error_class) == (JobStatus.CANCELLED, EXPIRED, None)
    assert [attempt.error for attempt in await store.attempts("a")] == ["boom"]


async def test_a_job_that_started_in_time_may_end_late(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", expires_after=SECOND))
    clock.advance(LEASE)

    assert list(await store.cancel_late()) == []
    assert list(await store.settle([completed(claim)])) == [JobStatus.COMPLETED]
    assert list(await store.cancel_late()) == []


async def test_a_started_job_expires_if_its_caller_died(store: Store, clock: FakeClock) -> None:
    await store.start(job("a", expires_after=MINUTE), LEASE)
    clock.advance(MINUTE + SECOND)
    await store.expire(jitter=timedelta(0))

    assert list(await store.cancel_late()) == [LateJob("a", "SendEmail")]


async def test_a_retry_by_hand_lifts_the_limit(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", expires_after=MINUTE)])
    clock.advance(MINUTE + SECOND)
    await store.cancel_late()

    await store.retry("a")

    assert (await read(store, "a")).start_before is None
    clock.advance(timedelta(days=1))
    assert ids(await store.claim(request())) == ["a"]


@pytest.mark.parametrize("is_parked", [True, False], ids=["parked", "late"])
async def test_a_repair_lifts_the_limit(store: Store, clock: FakeClock, *, is_parked: bool) -> None:
    await store.insert([job("a", expires_after=MINUTE)])
    if is_parked:
        claim = await store.claim_one("a", request())
        assert claim is not None
        await store.settle([failed(claim, f"{UNREADABLE}no such key", retry_after=None)])
    clock.advance(MINUTE + SECOND)

    await store.repair(Repair(instead_of=await read(store, "a"), params='{"to": "ada"}', spec_version=1))

    assert ids(await store.claim(request())) == ["a"]


async def test_a_late_job_gives_up_its_unique_key_to_a_new_job(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", unique_key="k", expires_after=MINUTE)])
    clock.advance(MINUTE)
    assert list(await store.insert([job("b", unique_key="k")])) == [Inserted("a", created=False)]
    clock.advance(MILLISECOND)

    assert list(await store.insert([job("c", unique_key="k"), job("d", unique_key="k")])) == [
        Inserted("c", created=True),
        Inserted("c", created=False),
    ]

    record = await read(store, "a")
    assert (record.status, record.error) == (JobStatus.CANCELLED, EXPIRED)


async def test_a_late_job_does_not_prevent_a_start(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", unique_key="k", expires_after=MINUTE)])
    with pytest.raises(DuplicateJobError):
        await store.start(job("b", unique_key="k"), LEASE)
    clock.advance(MINUTE + SECOND)

    await store.start(job("b", unique_key="k"), LEASE)

    assert (await read(store, "a")).status is JobStatus.CANCELLED


async def test_the_job_of_a_slot_expires_after_its_slot(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    slots = firing(START - timedelta(hours=1), START, next_run_at=START + timedelta(hours=1), expires_after=MINUTE)
    missed, current = (new.id for _, new in slots.slots)

    assert list(await store.fire(slots)) == [True, True]

    assert ids(await store.claim(request())) == [current]
    assert [late.id for late in await store.cancel_late()] == [missed]


async def test_late_jobs_can_be_cancelled_and_deleted_by_hand(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", expires_after=MINUTE), job("b", expires_after=MINUTE)])
    clock.advance(MINUTE + SECOND)

    await store.cancel("a")
    await store.delete(["b"], among=JobFilter(status=JobStatus.PENDING))

    assert list(await store.cancel_late()) == []
