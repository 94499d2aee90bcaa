"""Replaces `tests.conformance.stores` with the store of a Worker, on the real D1, or of a Durable Object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from server_jobs.domain.interfaces import Database, Statement, Store
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_cloudflare.databases.durable_object import DurableObjectDatabase

OpenStore = Callable[[FakeClock], AbstractAsyncContextManager[Store]]

TABLES = ("jobs", "cron_jobs", "job_starts", "paused_queues", "job_audit", "job_attempts", "job_workers", "job_counts")

NAME = "worker"
"""The name of either store. Test modules are imported once, and keep the names of their first event."""


def d1_stores(binding: Any) -> dict[str, OpenStore]:
    """Return the store on the D1 of this event."""
    return {NAME: partial(_open, D1Database(binding))}


def object_stores(database: DurableObjectDatabase) -> dict[str, OpenStore]:
    """Return the store in the object of this event."""
    return {NAME: partial(_open, database)}


@asynccontextmanager
async def _open(database: Database, clock: FakeClock) -> AsyncIterator[Store]:
    """Empty the tables, and open a store on them."""
    for table in TABLES:
        await database.run((Statement(f"DELETE FROM {table}", writes=True), {}))
    store = SqlStore(database, clock)
    await store.open()
    yield store


STORES: dict[str, OpenStore] = {}
"""The store of the current event."""
