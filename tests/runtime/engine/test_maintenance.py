"""The maintenance of a worker: slow pruning delays neither leases nor schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from server_jobs import Backend, JobOptions, Retention, create_job_registry
from server_jobs.domain.record import Expired, Pruned, PruneStep
from server_jobs.engine.maintenance import MAINTENANCE_INTERVAL, Maintenance
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import echo, text_job


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
    maintenance = Maintenance(Backend(database=store, job_registry=registry, clock=clock), lambda: None)

    for _ in range(3):
        maintenance.tick()
        await maintenance.finish()
        clock.advance(MAINTENANCE_INTERVAL)

    assert store.expired == 3
    await maintenance.stop()
