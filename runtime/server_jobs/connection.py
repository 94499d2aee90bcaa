"""From a URL to a backend that every job of a registry is bound to: what most applications open at their start."""

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
    """A backend on the database of that URL, with every job of the registry bound to it, until the block ends.

    Then the jobs are bound as they were before.
    Without a URL, that of the environment variable `SERVER_JOBS_DATABASE_URL`, else of `TURSO_DATABASE_URL`, else
    `sqlite:///server-jobs.sqlite3`.
    Raises `SchemaMissingError` when the migrations have not been run.
    """
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
