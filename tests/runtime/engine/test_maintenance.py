"""The maintenance of a worker: slow pruning delays neither leases nor schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from server_jobs import Backend, InvalidOptionError, JobOptions, Retention, create_job_registry
from server_jobs.domain.record import MOST_LATE, Expired, JobStatus, LateJob, Pruned, PruneStep
from server_jobs.engine.chores import Failures
from server_jobs.engine.maintenance import MAINTENANCE_INTERVAL, Maintenance
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import backend_on, echo, text_job, turns


class SlowPruning(MemoryStore):
    """A store whose first step of pruning never ends."""

    expired = 0

    async def prune(self, step: PruneStep) -> Pruned:
        await asyncio.Event().wait()
        return await super().prune(step)

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        self.expired += 1
        return await super().expire(jitter=jitter, except_for=except_for)


async def test_pruning_that_takes_long_does_not_delay_expired_leases() -> None:
    clock = FakeClock()
    store = SlowPruning(clock)
    kept = JobOptions(retention=Retention(completed=timedelta(days=1)))
    registry = create_job_registry().register(text_job(echo, options=kept))
    maintenance = Maintenance(Backend(database=store, job_registry=registry, clock=clock).execution, lambda: None)

    for _ in range(3):
        maintenance.tick()
        await maintenance.finish()
        clock.advance(MAINTENANCE_INTERVAL)

    assert store.expired == 3
    await maintenance.stop()


class SlowCancelling(SlowPruning):
    """A store that cancels late jobs in steps, the second of which never ends."""

    steps = 0

    async def cancel_late(self) -> Sequence[LateJob]:
        self.steps += 1
        if self.steps > 1:
            await asyncio.Event().wait()
        return await super().cancel_late()


async def test_many_late_jobs_are_cancelled_step_by_step_and_delay_no_expired_lease() -> None:
    clock = FakeClock()
    store = SlowCancelling(clock)
    job = text_job(echo)
    backend = backend_on(store, job, clock=clock)
    maintenance = Maintenance(backend.execution, lambda: None)
    await job.later_many([{"text": "late"}] * (MOST_LATE + 1), expires_after=MAINTENANCE_INTERVAL)
    clock.advance(2 * MAINTENANCE_INTERVAL)

    for _ in range(3):
        maintenance.tick()
        await turns()
        clock.advance(MAINTENANCE_INTERVAL)

    counts = {one.status: one.count for one in await store.count_jobs()}
    assert counts == {JobStatus.CANCELLED: MOST_LATE, JobStatus.PENDING: 1}
    assert (store.steps, store.expired) == (2, 3)
    await maintenance.stop()


async def test_a_chore_that_starts_while_the_others_are_stopped_is_stopped_too() -> None:
    store = SlowPruning(FakeClock())
    kept = JobOptions(retention=Retention(completed=timedelta(days=1)))
    backend = Backend(database=store, job_registry=create_job_registry().register(text_job(echo, options=kept)))
    maintenance = Maintenance(backend.execution, lambda: None)
    maintenance.tick()
    await turns()

    stopping = asyncio.create_task(maintenance.stop())
    await asyncio.sleep(0)
    backend.execution.runner.batches.add("a batch that ended meanwhile")
    maintenance.tick()
    await stopping

    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_setting_that_a_chore_cannot_use_is_logged_once_until_it_can(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures("maintenance")

    async def declare(error: Exception | None) -> None:
        if error is not None:
            raise error

    for error in (InvalidOptionError("no database"), InvalidOptionError("no database"), None):
        await failures.do("declare", declare(error))
    lines = ["maintenance (declare) failed: no database", "maintenance (declare) works again"]
    assert [record.getMessage() for record in caplog.records] == lines
    assert not any(record.exc_info for record in caplog.records), "a traceback"

    for _ in range(2):
        await failures.do("prune", declare(KeyError("bug")))
    assert caplog.text.count("Traceback") == 2
