"""The backend inside the object of a tenant: it stores only jobs of this tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from ..contract.job_keys import shard_key
from ..databases.durable_object.database import DurableObjectDatabase
from ..definition import AnyDefinition
from ..domain.record import Inserted, JobRecord, NewJob, Outcome
from ..engine.attempt import Attempt
from ..engine.tick import Tick
from ..errors import InvalidOptionError
from ..middleware import NO_HEADERS
from ..registry import JobRegistry
from .entry import CloudflareWorkerBackend
from .limits import TICK_BUDGET


class TenantBackend(CloudflareWorkerBackend):
    """A backend on the storage of an object.

    `stored` is called after each insert, and after a tick of a request. To store a job whose `shardBy` names another
    tenant raises `InvalidOptionError`.
    """

    def __init__(
        self,
        tenant: str,
        *,
        database: DurableObjectDatabase,
        job_registry: JobRegistry,
        max_concurrency: int,
        lock_timeout: timedelta,
        stored: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(
            database=database, job_registry=job_registry, max_concurrency=max_concurrency, lock_timeout=lock_timeout
        )
        self._tenant = tenant
        self._stored = stored
        self.started = asyncio.Event()
        """Set when a job has started."""

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        for job in jobs:
            self._check_tenant(job)
        inserted = await super().insert(jobs, request_trace)
        await self._stored()
        return inserted

    async def run_new(self, job: AnyDefinition, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        self._check_tenant(new)
        return await super().run_new(job, new, worker_timeout)

    async def handle_cron(self, *, budget: timedelta = TICK_BUDGET) -> Tick:
        try:
            return await super().handle_cron(budget=budget)
        finally:
            await self._stored()

    async def _run(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        self.started.set()
        return await super()._run(attempt)

    def _check_tenant(self, new: NewJob) -> None:
        options = self.registry.find(new.job_name).job.options
        tenant = shard_key(new.job_name, options, new.params)
        if tenant is not None and tenant != self._tenant:
            raise InvalidOptionError(
                f"{new.job_name} with {options.shard_by} {tenant!r} is a job of that tenant, and this is the store of "
                f"{self._tenant!r}; enqueue it with a request to the Worker: POST /_jobs/jobs/{new.job_name}"
            )
