"""`pending_work` finds all pending work in one read that changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit
from server_jobs.domain.record import ClaimRequest, KnownJob, PendingWork
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    IMPORT,
    LEASE,
    SECOND,
    SEND,
    START,
    completed,
    firing,
    ids,
    job,
    request,
    schedule,
)

CRAWL = KnownJob("Crawl", 1, concurrency=ConcurrencyLimit(limit=1))
NOTHING = PendingWork(has_expired=False, has_due_schedule=False, has_due_job=False)
DUE_JOB = PendingWork(has_expired=False, has_due_schedule=False, has_due_job=True)


@pytest.mark.parametrize("asked", [request(), request(CRAWL), request(SEND, CRAWL)], ids=["plain", "limited", "both"])
async def test_an_empty_store_has_nothing_to_do(store: Store, clock: FakeClock, asked: ClaimRequest) -> None:
    assert await store.pending_work(asked) == NOTHING


async def test_a_job_counts_as_due_from_its_time_until_it_is_claimed(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", scheduled_for=START + SECOND)])
    assert await store.pending_work(request()) == NOTHING

    clock.advance(SECOND)
    assert await store.pending_work(request()) == DUE_JOB
    assert await store.pending_work(request()) == DUE_JOB

    assert ids(await store.claim(request())) == ["a"]
    assert await store.pending_work(request()) == NOTHING


@pytest.mark.parametrize(
    "asked",
    [request(IMPORT), request(KnownJob("SendEmail", 2)), request(queues=("mail",))],
    ids=["another name", "another version", "another queue"],
)
async def test_jobs_that_may_not_run_here_are_not_pending_work(
    store: Store, clock: FakeClock, asked: ClaimRequest
) -> None:
    await store.insert([job("a")])

    assert await store.pending_work(asked) == NOTHING


async def test_jobs_of_a_paused_queue_are_not_pending_work(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    await store.pause_queue("default")

    assert await store.pending_work(request()) == NOTHING


async def test_jobs_with_limits_are_pending_work_even_if_a_limit_blocks_them(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name, "Crawl", concurrency_key="") for name in "ab"])
    assert await store.pending_work(request(CRAWL)) == DUE_JOB

    assert ids(await store.claim(request(CRAWL))) == ["a"]
    assert await store.pending_work(request(CRAWL)) == DUE_JOB
    assert ids(await store.claim(request(CRAWL))) == []


async def test_an_expired_lease_is_found_for_any_worker(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", "ImportCsv")])
    await store.claim(request(IMPORT))
    assert await store.pending_work(request()) == NOTHING

    clock.advance(LEASE + SECOND)

    assert await store.pending_work(request()) == PendingWork(
        has_expired=True, has_due_schedule=False, has_due_job=False
    )


async def test_a_schedule_is_found_when_it_is_unplanned_or_due(store: Store, clock: FakeClock) -> None:
    due = PendingWork(has_expired=False, has_due_schedule=True, has_due_job=False)
    await store.save_schedules([schedule()])
    assert await store.pending_work(request()) == due
    assert await store.pending_work(request(IMPORT)) == NOTHING

    await store.fire(firing(next_run_at=START + timedelta(hours=1)))
    assert await store.pending_work(request()) == NOTHING

    clock.advance(timedelta(hours=1))
    assert await store.pending_work(request()) == due

    await store.enable_schedule(schedule().id, enabled=False)
    assert await store.pending_work(request()) == NOTHING


async def test_jobs_that_lost_their_limits_are_found_and_claimed_afterwards(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", concurrency_key="k")])

    assert await store.pending_work(request()) == DUE_JOB
    assert ids(await store.claim(request())) == ["a"]


async def test_pending_work_does_not_hide_a_later_limit(store: Store, clock: FakeClock) -> None:
    await store.pending_work(request())
    (first,) = [await store.claim(request())]
    await store.insert([job(name, "Crawl") for name in "ab"])

    assert list(first) == []
    assert await store.pending_work(request(CRAWL)) == DUE_JOB
    (claim,) = await store.claim(request(CRAWL))
    assert list(await store.claim(request(CRAWL))) == []
    await store.settle([completed(claim)])
    assert len(await store.claim(request(CRAWL))) == 1
