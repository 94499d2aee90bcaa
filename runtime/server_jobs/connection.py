"""Connect every job of a registry to a database. Most applications call `connect` at their start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from .databases.url import database_url
from .engine.backend import DEFAULT_CONCURRENCY, DEFAULT_LOCK_TIMEOUT, DEFAULT_POLL_INTERVAL, Backend
from .registry import JobRegistry


@asynccontextmanager
async def connect(
    registry: JobRegistry,
    url: str | None = None,
    *,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
) -> AsyncIterator[Backend]:
    """Open a backend on a database and bind every job of the registry to it, until the block ends.

    Calls the set-up functions of the registry first, so that they run before the first request of an application.
    Afterwards the jobs have their earlier bindings. The default URL is the environment variable
    `SERVER_JOBS_DATABASE_URL`, then `TURSO_DATABASE_URL`, then `sqlite:///server-jobs.sqlite3`. Raises
    `SchemaMissingError` if the database lacks the migrations, and `SetupError` if a set-up function fails.

        async with connect(registry):
            await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
    """
    registry.hooks.set_up()
    backend = Backend(
        database=database_url(url),
        job_registry=registry,
        max_concurrency=max_concurrency,
        lock_timeout=lock_timeout,
        poll_interval=poll_interval,
    )
    await backend.initialize()
    try:
        with registry.bound_to(backend):
            yield backend
    finally:
        await backend.shutdown()
