"""Connect every job of a registry to a database. Most applications call `connect` at their start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from .databases.url import database_url
from .domain.interfaces import Database, Store
from .engine.backend import DEFAULT_CONCURRENCY, DEFAULT_LOCK_TIMEOUT, DEFAULT_POLL_INTERVAL, Backend
from .errors import InvalidOptionError
from .registry import JobRegistry


@asynccontextmanager
async def connect(
    jobs: JobRegistry | Backend,
    url: str | None = None,
    *,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
) -> AsyncIterator[Backend]:
    """Open a backend on a database and bind every job of the registry to it, until the block ends.

    A backend in place of the registry is opened as it is: it has its own database and options.

    Calls the set-up functions of the registry first, so that they run before the first request of an application.
    Afterwards the jobs have their earlier bindings. The default URL is the environment variable
    `SERVER_JOBS_DATABASE_URL`, then `TURSO_DATABASE_URL`, then `sqlite:///server-jobs.sqlite3`. A project with the
    setting `database-url-env` has its own variable, and no default file. Raises `DatabaseError` if that is not set,
    `SchemaMissingError` if the database lacks the migrations, and `SetupError` if a set-up function fails.

        async with connect(registry):
            await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
    """
    if isinstance(jobs, Backend):
        if url is not None:
            raise InvalidOptionError("a backend has its own database; pass the URL to `Backend`, or pass a registry")
        backend = jobs
    else:
        backend = Backend(
            database=database_url(url, variable=jobs.database_url_env),
            job_registry=jobs,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
        )
    backend.hooks.set_up()
    await backend.initialize()
    try:
        with backend.registry.bound_to(backend):
            yield backend
    finally:
        await backend.shutdown()


def set_database(registry: JobRegistry, database: Store | Database | str | None = None) -> None:
    """Bind every job of the registry to a database, for programs without an event loop.

    The database is a store, a database, or a URL; by default the same URL as in `connect`. The first call opens it.

        set_database(registry)
        SendEmail.later_sync({"to": "ada@example.com", "subject": "Hello"})
    """
    if database is None or isinstance(database, str):
        database = database_url(database, variable=registry.database_url_env)
    registry.bind(Backend(database=database, job_registry=registry))
