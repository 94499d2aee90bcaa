"""Details of the renewal of leases that keep progress, outcomes and hand-overs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from server_jobs import JobContext, JobStatus
from server_jobs.domain.record import Heartbeat, LeaseAnswer
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.engine.attempts.attempt import Stop
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.engine.test_leases import LEASE, BadRows, Run
from tests.runtime.example_jobs import SECOND, Text, read, status_of, text_job, turns

WORKER = WorkerReport(id="w", host="h", pid=1, queues=None, concurrency=1, version="0", known=())


class SlowFirstRenewal(FaultyStore):
    """A store whose first renewal arrives late."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.arrives = asyncio.Event()

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        self.calls["begun"] += 1
        if self.calls["begun"] == 1:
            await self.arrives.wait()
        return await super().renew(heartbeats, lease, workers)


async def test_progress_of_a_row_that_was_locked_is_stored_with_the_next_check() -> None:
    clock = FakeClock()
    store = BadRows(clock)
    run = await Run(store=store, clock=clock, lease=600 * SECOND).begin()
    store.is_busy, store.bad = True, {run.job_id}
    run.gate.contexts[0].update_progress(60, "almost")
    await run.wait(SECOND)
    store.bad = set()
    await run.wait(SECOND)
    assert (await read(run.backend, run.job_id)).progress == 60
    await run.end()


async def test_a_lease_that_is_kept_twice_lasts_as_long_as_its_last_renewal() -> None:
    run = await Run().begin()
    await run.wait(3 * LEASE)
    runner = run.backend.execution.runner
    (attempt,) = runner.attempts()
    before = runner.leases.expires_at(attempt)
    runner.leases.add([attempt])
    assert runner.leases.expires_at(attempt) == before > run.clock.monotonic()
    await run.end()


async def test_a_database_that_is_away_is_not_asked_for_each_lease() -> None:
    run = await Run().begin(40)
    run.store.break_down("renew", "ping")
    await run.wait(3 * SECOND)
    assert run.store.calls["renew"] == 1
    run.store.mend()
    await run.end()


async def test_the_outcome_of_a_handler_that_ends_long_after_its_cancellation_is_not_dropped() -> None:
    cleaned_up = asyncio.Event()

    async def slow_to_end(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.Event().wait()
        finally:
            await cleaned_up.wait()
        return params

    run = await Run(text_job(slow_to_end)).begin()
    await run.store.cancel(run.job_id)
    await run.wait(3 * LEASE)
    run.store.break_down("settle")
    cleaned_up.set()
    await turns()
    run.store.mend()
    await run.wait(3 * SECOND)
    await run.result()
    assert await status_of(run.backend, run.job_id) is JobStatus.CANCELLED


async def test_the_last_renewal_comes_after_the_one_on_its_way() -> None:
    clock = FakeClock()
    store = SlowFirstRenewal(clock)
    run = await Run(store=store, clock=clock).begin()
    await run.wait(3 * SECOND)
    (attempt,) = run.backend.execution.runner.attempts()
    leases = run.backend.execution.runner.leases
    handing_over = asyncio.create_task(leases.renew_last(attempt, attempt.lease + 600 * SECOND))
    await turns()
    store.arrives.set()
    await handing_over
    await turns()
    record = await read(run.backend, run.job_id)
    assert record.worker_expires_at is not None
    assert record.worker_expires_at >= clock.now() + 600 * SECOND
    await run.end()


async def test_a_report_on_its_way_does_not_bring_a_removed_worker_back() -> None:
    clock = FakeClock()
    store = SlowFirstRenewal(clock)
    runner = Run(store=store, clock=clock).backend.execution.runner
    runner.leases.add_worker(WORKER, LEASE)
    await turns()
    removing = asyncio.create_task(runner.remove_worker(WORKER.id))
    await turns()
    store.arrives.set()
    await removing
    await turns()
    assert list(await store.workers()) == []


async def test_a_claim_that_a_place_has_taken_over_is_not_released_when_the_caller_goes_away() -> None:
    run = await Run().begin()
    (attempt,) = run.backend.execution.runner.attempts()
    await run.backend.execution.runner.leases.renew_last(attempt, attempt.lease + 600 * SECOND)
    run.tasks[0].cancel()
    await asyncio.wait(run.tasks)
    await turns()
    assert run.store.settlements == []
    assert await status_of(run.backend, run.job_id) is JobStatus.RUNNING


async def test_the_first_reason_to_stop_an_attempt_counts() -> None:
    run = await Run().begin()
    (attempt,) = run.backend.execution.runner.attempts()
    attempt.stop(Stop.CANCELLED)
    attempt.stop(Stop.LOST)
    await run.result()
    assert attempt.stopped is Stop.CANCELLED
    assert await status_of(run.backend, run.job_id) is not JobStatus.RUNNING
