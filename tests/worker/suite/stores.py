"""Replaces `tests.conformance.stores` with the only store of a Worker, on the real D1."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from server_jobs.databases.d1.database import D1Database
from server_jobs.domain.interfaces import Store
from server_jobs.stores.sql import SqlStore
from server_jobs.testing import FakeClock

OpenStore = Callable[[FakeClock], AbstractAsyncContextManager[Store]]

TABLES = ("jobs", "cron_jobs", "job_starts", "paused_queues", "job_audit", "job_attempts", "job_workers", "job_counts")
bindings: list[Any] = []
"""The D1 of the current event."""


@asynccontextmanager
async def open_d1(clock: FakeClock) -> AsyncIterator[Store]:
    """Open a store on the empty D1 of this Worker."""
    (binding,) = bindings
    for table in TABLES:
        await binding.prepare(f"DELETE FROM {table}").all()
    store = SqlStore(D1Database(binding), clock)
    await store.open()
    yield store


STORES: dict[str, OpenStore] = {"d1": open_d1}
