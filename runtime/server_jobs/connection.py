"""Connect every job of a registry to its database or its databases. Most applications call `connect` at their start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack

from .databases.url import database_url
from .domain.interfaces import Database, Store
from .engine.backend import DEFAULT_CONCURRENCY, DEFAULT_LEASE, DEFAULT_POLL_INTERVAL, Backend
from .errors import InvalidOptionError
from .registry import JobRegistry

if TYPE_CHECKING:
    from .engine.backend import BackendOptions
    from .named_databases import Databases


@asynccontextmanager
async def connect(
    jobs: JobRegistry | Backend,
    url: str | None = None,
    *,
    database: str | None = None,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    lease: timedelta = DEFAULT_LEASE,
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
) -> AsyncIterator[Backend]:
    """Open a backend on a database and bind every job of the registry to it, until the block ends.

    A backend in place of the registry is opened as it is: it has its own database and options.

    Calls the set-up functions of the registry first, so that they run before the first request of an application.
    Afterwards the jobs have their earlier bindings. The default URL is the environment variable
    `SERVER_JOBS_DATABASE_URL`, then one of a plug-in, then `sqlite:///server-jobs.sqlite3`. A project with the
    setting `database-url-env` has its own variable, and no default file. Raises `DatabaseError` if that is not set,
    `SchemaMissingError` if the database lacks the migrations, and `SetupError` if a set-up function fails.

    In a project with several databases, `database` is the name of the one to open, for a worker. Its handlers, and all
    other calls of job classes, find the database of their params. Applications call `connect_databases` there. With a
    `url`, all jobs are in that database.

        async with connect(registry):
            await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
    """
    binding: Backend | Databases
    if isinstance(jobs, Backend):
        if url is not None or database is not None:
            raise InvalidOptionError("a backend has its own database; pass the URL to `Backend`, or pass a registry")
        backend = binding = jobs
    elif database is not None:
        if url is not None:
            raise InvalidOptionError("give the name of a database of the project, or a URL, not both")
        binding = databases = _databases(
            jobs, max_concurrency=max_concurrency, lease=lease, poll_interval=poll_interval
        )
        backend = databases[database]
    else:
        _check_is_one(jobs, url)
        backend = binding = Backend(
            database=database_url(url, variable=jobs.database_url_env),
            job_registry=jobs,
            max_concurrency=max_concurrency,
            lease=lease,
            poll_interval=poll_interval,
        )
    backend.hooks.set_up()
    await backend.initialize()
    try:
        with backend.registry.bound_to(binding):
            yield backend
    finally:
        await binding.shutdown()


@asynccontextmanager
async def connect_databases(
    jobs: JobRegistry | Databases,
    *,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    lease: timedelta = DEFAULT_LEASE,
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
) -> AsyncIterator[Databases]:
    """Bind every job of the registry to the databases of the project, until the block ends.

    Each database opens at its first call, so one that is down fails only its own calls. Calls the set-up functions of
    the registry first. Afterwards the jobs have their earlier bindings. Raises `InvalidOptionError` if the project has
    one database, and `SetupError` if a set-up function fails. `Databases` in place of the registry have their own
    options.

        registry = create_job_registry(databases={"eu": "EU_DATABASE_URL", "us": "US_DATABASE_URL"})
        async with connect_databases(registry.register(SendEmail)) as databases:
            print(", ".join(databases))
    """
    databases = (
        _databases(jobs, max_concurrency=max_concurrency, lease=lease, poll_interval=poll_interval)
        if isinstance(jobs, JobRegistry)
        else jobs
    )
    databases.hooks.set_up()
    try:
        with databases.registry.bound_to(databases):
            yield databases
    finally:
        await databases.shutdown()


def set_database(registry: JobRegistry, database: Store | Database | str | None = None) -> None:
    """Bind every job of the registry to a database, for programs without an event loop.

    The database is a store, a database, or a URL; by default the same URL as in `connect`, or the databases of the
    project. The first call opens it.

        set_database(registry)
        SendEmail.later_sync({"to": "ada@example.com", "subject": "Hello"})
    """
    if database is None and registry.routing is not None:
        registry.bind(_databases(registry))
        return
    if database is None or isinstance(database, str):
        database = database_url(database, variable=registry.database_url_env)
    registry.bind(Backend(database=database, job_registry=registry))


def _check_is_one(registry: JobRegistry, url: str | None) -> None:
    """Raise `InvalidOptionError` if the project has several databases, and no URL replaces them."""
    if url is None and registry.routing is not None:
        names = registry.routing.names
        raise InvalidOptionError(
            f"the project has the databases {', '.join(names)}; call connect_databases(registry), or "
            f"connect(registry, database={names[0]!r}) for one of them"
        )


def _databases(registry: JobRegistry, **options: Unpack[BackendOptions]) -> Databases:
    from .named_databases import Databases  # most projects have one database

    return Databases(registry, **options)
