"""The backend inside the object of a tenant: it stores only jobs of this tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from server_jobs.domain.record import Inserted, NewJob
from server_jobs.engine.tick import Tick
from server_jobs.middleware import NO_HEADERS
from server_jobs.registry import JobRegistry

from .databases.durable_object import DurableObjectDatabase
from .entry import CloudflareWorkerBackend
from .limits import TICK_BUDGET
from .tenant_store import MakeTables, Send, TenantStore


class TenantBackend(CloudflareWorkerBackend):
    """A backend on the storage of an object.

    `make_tables` is called before each insert, and `stored` after it and after a tick of a request. `send` gets jobs of
    other tenants.
    """

    def __init__(
        self,
        tenant: str,
        *,
        database: DurableObjectDatabase,
        job_registry: JobRegistry,
        max_concurrency: int,
        lease: timedelta,
        make_tables: MakeTables,
        stored: Callable[[], Awaitable[None]],
        send: Send,
    ) -> None:
        super().__init__(
            database=TenantStore(database, tenant, send=send, make_tables=make_tables),
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lease=lease,
        )
        self._stored = stored

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        inserted = await super().insert(jobs, request_trace)
        await self._stored()
        return inserted

    async def handle_cron(self, *, budget: timedelta = TICK_BUDGET) -> Tick:
        try:
            return await super().handle_cron(budget=budget)
        finally:
            await self._stored()
