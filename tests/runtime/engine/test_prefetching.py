"""Prefetching short jobs costs no other job its attempt, its turn or its worker."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from server_jobs import (
    ConcurrencyLimit,
    DatabaseError,
    JobContext,
    JobOptions,
    JobRecord,
    JobStatus,
    RateLimit,
    Worker,
)
from server_jobs.domain.record import Claim, ClaimRequest, Outcome
from server_jobs.engine.prefetch import PrefetchSize
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import (
    SECOND,
    SOON,
    Text,
    TextJob,
    backend_on,
    echo,
    read,
    status_of,
    text_job,
    turns,
    until,
)


class Claims(FaultyStore):
    """A store that records requests and claims; the worker's prefetch uses a real clock."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        super().__init__(clock)
        self.requests: list[ClaimRequest] = []
        self.sizes: list[int] = []

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        assert request.limit > 0
        claims = await super().claim(request)
        self.requests.append(request)
        self.sizes.append(len(claims))
        await asyncio.sleep(0.001)  # a database takes time
        return claims


class Switch:
    """A fast handler, until a text says `stop`; then it and all later ones wait until they are released."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_slow = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, params: Text, context: JobContext) -> Text:
        self.texts.append(params.text)
        if params.text == "stop":
            self.is_slow.set()
        if self.is_slow.is_set():
            await self.opened.wait()
        return params


async def queued(job: TextJob, texts: Sequence[str]) -> list[str]:
    """Enqueue a job for each text, and return their ids."""
    return [str(handle) for handle in await job.later_many([{"text": text} for text in texts])]


async def released(backend: PollingBackend, ids: Sequence[str], *, still_running: int) -> list[JobRecord]:
    """The rows of the jobs, as soon as at most `still_running` of them run; fails after two seconds."""
    records: list[JobRecord] = []
    for _ in range(20):  # far less than the drain timeout, and several writes on a busy machine
        await asyncio.sleep(0.1)
        records = [await read(backend, job_id) for job_id in ids]
        if sum(record.status is JobStatus.RUNNING for record in records) <= still_running:
            return records
    pytest.fail(f"still running: {Counter(record.status for record in records)}")


async def test_short_jobs_are_claimed_by_the_hundred() -> None:
    store, job = Claims(), text_job(echo)
    backend = backend_on(store, job)
    await queued(job, ["a"] * 3000)
    await Worker(backend, until_empty=True).run()

    assert store.sizes[0] == 5
    assert max(store.sizes) > 50
    assert len(store.sizes) < 200
    assert {count.status: count.count for count in await store.count_jobs()} == {JobStatus.COMPLETED: 3000}


async def test_slow_jobs_are_not_prefetched() -> None:
    async def slow(params: Text, context: JobContext) -> Text:
        await asyncio.sleep(0.2)
        return params

    store, job = Claims(), text_job(slow)
    backend = backend_on(store, job)
    await queued(job, ["a"] * 12)
    worker = Worker(backend, until_empty=True)
    task = asyncio.create_task(worker.run())
    most = 0
    while not task.done():
        most = max(most, sum(c.count for c in await store.count_jobs() if c.status is JobStatus.RUNNING))
        await asyncio.sleep(0.01)

    assert 5 <= most <= 8  # the five that run, and the ones that they would start in a twentieth of a second


async def test_no_more_run_at_once_than_the_concurrency_however_many_are_claimed() -> None:
    running: Counter[str] = Counter()
    most = 0

    async def handler(params: Text, context: JobContext) -> Text:
        nonlocal most
        running["now"] += 1
        most = max(most, running["now"])
        await asyncio.sleep(0)
        running["now"] -= 1
        return params

    job = text_job(handler)
    backend = backend_on(Claims(), job)
    await queued(job, ["a"] * 1000)
    await Worker(backend, concurrency=3, until_empty=True).run()

    assert most == 3


async def test_claims_that_wait_for_a_slot_are_released_after_a_second() -> None:
    switch = Switch()
    store, job = Claims(), text_job(switch)
    backend = backend_on(store, job)
    ids = await queued(job, ["a"] * 500 + ["stop"] + ["b"] * 100)
    task = asyncio.create_task(Worker(backend).run())
    await until(switch.is_slow)
    await asyncio.sleep(0.02)
    waiting = [job_id for job_id in ids[501:] if (await read(backend, job_id)).status is JobStatus.RUNNING]
    assert len(waiting) > 5  # the worker had prefetched many when jobs became slow

    other = text_job(echo)
    others = Worker(backend_on(store, other), until_empty=True)
    await asyncio.sleep(2.2)
    await asyncio.wait_for(others.run(), 5)
    switch.opened.set()
    done = [await read(backend, job_id) for job_id in waiting]
    assert sum(record.status is JobStatus.COMPLETED for record in done) >= len(waiting) - 5
    assert {record.attempt_count for record in done} == {1}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_stopping_releases_waiting_jobs_at_once_without_an_attempt() -> None:
    switch = Switch()
    job = text_job(switch)
    backend = backend_on(Claims(), job)
    ids = await queued(job, ["a"] * 500 + ["stop"] + ["b"] * 100)
    worker = Worker(backend, drain_timeout=10 * SECOND)
    task = asyncio.create_task(worker.run())
    await until(switch.is_slow)
    worker.stop()
    records = await released(backend, ids[501:], still_running=5)
    assert {record.attempt_count for record in records if record.status is JobStatus.PENDING} == {0}
    switch.opened.set()
    await until(task)
    assert "b" not in switch.texts[506:]


class LateClaim(FaultyStore):
    """A store whose second claim is answered late."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.arrives = asyncio.Event(), asyncio.Event()

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        claims = await super().claim(request)
        if self.calls["claim"] == 2:
            self.is_asked.set()
            await self.arrives.wait()
        return claims


async def test_stopping_releases_the_jobs_of_a_claim_on_its_way_while_others_run() -> None:
    switch, store = Switch(), LateClaim()
    job = text_job(switch)
    backend = backend_on(store, job)
    (slow,) = await queued(job, ["stop"])
    worker = Worker(backend, concurrency=2, drain_timeout=10 * SECOND)
    task = asyncio.create_task(worker.run())
    await until(switch.is_slow)
    late = await queued(job, ["late"])
    await until(store.is_asked)
    worker.stop()
    await turns()
    store.arrives.set()
    await released(backend, late, still_running=0)
    assert await status_of(backend, slow) is JobStatus.RUNNING
    switch.opened.set()
    await until(task)
    assert switch.texts == ["stop"]


async def test_the_leases_of_claims_that_wait_are_renewed() -> None:
    clock, switch = FakeClock(), Switch()
    store, job = FaultyStore(clock), text_job(switch)
    switch.is_slow.set()
    backend = backend_on(store, job, clock=clock, lease=9 * SECOND)
    await queued(job, ["a"] * 3)
    attempts = await backend.execution.take(3)
    await turns()
    for _ in range(30):
        clock.advance(SECOND)
        await turns()
        assert await backend.handle_expired_locks() == []
    assert {(await read(backend, one.claim.id)).status for one in attempts} == {JobStatus.RUNNING}
    backend.execution.runner.release_waiting(attempts)
    await turns()
    assert backend.execution.runner.leases.leased() == []
    assert store.calls["renew"] >= 10


async def test_a_waiting_claim_that_is_asked_to_cancel_is_cancelled_without_running() -> None:
    clock, switch = FakeClock(), Switch()
    store, job = FaultyStore(clock), text_job(switch)
    backend = backend_on(store, job, clock=clock, lease=9 * SECOND)
    (job_id,) = await queued(job, ["a"])
    (attempt,) = await backend.execution.take(1)
    await store.cancel(job_id)
    for _ in range(4):
        clock.advance(SECOND)
        await turns()
    await backend.execution.runner.run(attempt, backend)

    assert (await read(backend, job_id)).status is JobStatus.CANCELLED
    assert switch.texts == []


async def test_a_waiting_claim_that_was_lost_is_not_run() -> None:
    """Also if the lease is still valid by the worker's clock. The renewal learns of the loss from the database."""
    clock, clock_of_database, switch = FakeClock(), FakeClock(), Switch()
    store, job = FaultyStore(clock_of_database), text_job(switch)
    backend = backend_on(store, job, clock=clock, lease=9 * SECOND)
    (job_id,) = await queued(job, ["a"])
    (attempt,) = await backend.execution.take(1)
    await turns()
    clock_of_database.advance(10 * SECOND)
    await store.expire(jitter=timedelta(0))
    (taken,) = (await backend_on(store, text_job(echo), clock=clock).poll_and_claim(1)).claimed_jobs
    clock.advance(4 * SECOND)
    await turns()
    outcome, error = await backend.execution.runner.run(attempt, backend)

    assert (outcome, switch.texts) == (Outcome.LOST, [])
    assert error == f"the claim on job {job_id} was lost (its lease expired); nothing was written"
    assert (await read(backend, job_id)).fencing_token == taken.token


async def test_attempted_jobs_are_not_prefetched() -> None:
    """One of them may kill the worker. The jobs that wait with it would lose an attempt, again and again."""
    store, job = Claims(), text_job(echo)
    backend = backend_on(store, job)
    await queued(job, ["a"] * 500)
    await Worker(backend, until_empty=True).run()

    assert max(request.limit for request in store.requests) > 50
    assert {request.slots for request in store.requests} <= {0, 1, 2, 3, 4, 5}


async def test_no_job_starts_while_outcomes_cannot_be_stored() -> None:
    switch = Switch()
    store, job = Claims(), text_job(switch)
    backend = backend_on(store, job)
    await queued(job, ["a"] * 2000)
    worker = Worker(backend, drain_timeout=SOON)
    task = asyncio.create_task(worker.run())
    while len(switch.texts) < 200:
        await asyncio.sleep(0)
    store.break_down("settle", error=DatabaseError("down"))
    while not backend.execution.runner.is_failing:
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # before Python 3.12, a job that was started before the failure calls its handler now
    begun = len(switch.texts)
    await turns(100)
    assert len(switch.texts) == begun
    assert begun < 700
    store.mend()
    while len(switch.texts) < 2000:
        await asyncio.sleep(0.01)
    worker.stop()
    await until(task)
    assert {count.status for count in await store.count_jobs()} == {JobStatus.COMPLETED}


async def test_a_refused_write_costs_released_claims_no_attempt() -> None:
    clock, switch = FakeClock(), Switch()
    store, job = FaultyStore(clock), text_job(switch)
    backend = backend_on(store, job, clock=clock, lease=9 * SECOND)
    (job_id,) = await queued(job, ["a"])
    attempts = await backend.execution.take(1)
    store.break_down("settle")
    backend.execution.runner.release_waiting(attempts)
    for _ in range(20):
        clock.advance(SECOND)
        await turns()
        await store.expire(jitter=timedelta(0))
    store.mend()
    for _ in range(6):
        clock.advance(SECOND)
        await turns()

    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    assert backend.execution.runner.leases.leased() == []


async def test_a_worker_continues_after_an_outage_longer_than_its_leases() -> None:
    clock, switch = FakeClock(), Switch()
    store, job = FaultyStore(clock), text_job(switch)
    backend = backend_on(store, job, clock=clock, lease=9 * SECOND)
    await queued(job, ["a"])
    store.break_down("settle", "renew")
    worker = Worker(backend)
    task = asyncio.create_task(worker.run())
    for _ in range(30):
        clock.advance(SECOND)
        await turns()
    store.mend()
    (later_id,) = await queued(job, ["b"])
    for _ in range(10):
        clock.advance(SECOND)
        await turns()
    worker.stop()
    await until(task)

    assert (await read(backend, later_id)).status is JobStatus.COMPLETED


async def test_jobs_without_limits_are_prefetched_together_with_limited_ones() -> None:
    rate = RateLimit(limit=10, per=timedelta(days=1))
    quick, slow = text_job(echo, "Quick"), text_job(echo, "Slow", JobOptions(rate=rate))
    store = Claims()
    backend = backend_on(store, quick, slow)
    await queued(quick, ["a"] * 3000)
    await queued(slow, ["b"] * 10)
    await Worker(backend, until_empty=True).run()

    assert max(store.sizes) > 50
    assert len(store.sizes) < 300
    assert {(count.job_name, count.status): count.count for count in await store.count_jobs()} == {
        ("Quick", JobStatus.COMPLETED): 3000,
        ("Slow", JobStatus.COMPLETED): 10,
    }


async def test_a_worker_with_more_waiting_jobs_than_its_prefetch_claims_none() -> None:
    """The last claim found few jobs, so the prefetch of jobs with limits decides when to claim again."""
    switch, store = Switch(), Claims()
    job = text_job(switch)
    backend = backend_on(store, job)
    await queued(job, ["a"] * 200 + ["stop"] * 300)
    worker = Worker(backend, drain_timeout=SOON)
    task = asyncio.create_task(worker.run())
    await until(switch.is_slow)
    await asyncio.sleep(0.01)
    prefetcher = worker._prefetcher
    assert len(prefetcher)
    claims = len(store.requests)

    prefetcher.size.any, prefetcher.size.limited = 1, 500
    prefetcher._was_full, prefetcher.may_be_more = False, True
    worker._wake.set()
    await turns(5)

    assert len(store.requests) == claims
    switch.opened.set()
    worker.stop()
    await until(task)


async def test_jobs_with_limits_are_not_claimed_while_no_slot_is_near() -> None:
    """A claim that waits for a slot would use up the limit."""
    switch = Switch()
    job = text_job(switch, options=JobOptions(concurrency=ConcurrencyLimit(limit=500)))
    store = Claims()
    backend = backend_on(store, job)
    await queued(job, ["stop"] * 50)
    worker = Worker(backend, drain_timeout=SOON)
    task = asyncio.create_task(worker.run())
    await until(switch.is_slow)
    await asyncio.sleep(0.05)

    assert {(count.status, count.count) for count in await store.count_jobs()} == {
        (JobStatus.RUNNING, 5),
        (JobStatus.PENDING, 45),
    }
    switch.opened.set()
    worker.stop()
    await until(task)


def test_fewer_jobs_with_limits_than_without_are_prefetched_at_the_same_pace() -> None:
    size = PrefetchSize()
    size.note_claimed(0.0)
    size.note_busy(0.0)
    for _ in range(1000):
        size.started += 1
    size.note_claimed(0.1)
    assert (size.any, size.limited) == (500, 50)

    for _ in range(10):
        size.started += 1
    size.note_claimed(1.1)
    assert (size.any, size.limited) == (0, 0)


async def most_jobs_in_a_row() -> int:
    """Return the most jobs without a wait that run before another task of the event loop gets a turn."""
    ran: list[str] = []
    series: list[int] = []

    async def spin(params: Text, context: JobContext) -> Text:
        ended = time.perf_counter() + 0.001
        while time.perf_counter() < ended:
            pass
        ran.append(params.text)
        return params

    backend = backend_on(Claims(), job := text_job(spin))
    await queued(job, ["a"] * 400)
    work = asyncio.create_task(Worker(backend, concurrency=3, until_empty=True).run())
    while not work.done():
        before = len(ran)
        await asyncio.sleep(0)
        series.append(len(ran) - before)
    await work
    assert len(ran) == 400
    return max(series)


async def test_jobs_that_never_wait_for_anything_leave_others_their_turns() -> None:
    assert await most_jobs_in_a_row() <= 6


@pytest.mark.slow
async def test_with_turns_without_an_end_jobs_that_never_wait_would_leave_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_jobs.engine.slots._LONGEST_TURN", float("inf"))

    most = await most_jobs_in_a_row()

    # Before Python 3.12 a job needs a turn of the event loop to start, so the problem does not exist.
    assert most > 6 if sys.version_info >= (3, 12) else most <= 6
