"""The project of a command: its registry and its database, each read on first use."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from server_jobs.connection import connect, connect_databases
from server_jobs.databases.opening import open_database
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.databases.url import (
    DATABASE_URL,
    DEFAULT_FILE,
    DEFAULT_URL,
    database_url,
    is_postgres,
    without_password,
)
from server_jobs.domain.interfaces import Database, Store
from server_jobs.domain.record import NewJob
from server_jobs.engine.backend import DEFAULT_CONCURRENCY, DEFAULT_LEASE, DEFAULT_POLL_INTERVAL, Backend
from server_jobs.errors import (
    DatabaseError,
    InvalidOptionError,
    ProjectError,
    ProjectNotFoundError,
    ServerJobsError,
)
from server_jobs.project import Project, find_project
from server_jobs.project_registry import import_folders, import_registry, registry_of
from server_jobs.registry import JobRegistry
from server_jobs.routing import Routing, shown
from server_jobs.stores.sql.store import SqlStore

from . import django_settings
from .failures import TERMINATED
from .log import application_logging
from .output import note, suggestion

if TYPE_CHECKING:
    from server_jobs.named_databases import Databases

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Built from the shared options, each of which overrides the project's setting."""

    folder: Path
    database: str | None = field(default=None, repr=False)
    """The name of a database of the project, or a URL."""
    registry_place: str | None = None
    program: tuple[str, ...] | None = None
    """The command that starts this program again, if another command runs it: `PYTHON -m MODULE ...`."""

    @cached_property
    def project(self) -> Project | None:
        """Return the project that contains the folder, or else the Django project, or None.

        Raises `ProjectError` for invalid settings.
        """
        try:
            return find_project(self.folder)
        except ProjectNotFoundError:
            return django_settings.project() if self.uses_django else None

    @cached_property
    def uses_django(self) -> bool:
        """Whether the jobs belong to a Django project. Sets Django up. Raises `ProjectError` for invalid settings."""
        return django_settings.set_up(self.folder)

    def required_project(self) -> Project:
        """Return the project. Raises `ProjectError` if there is none."""
        return self.project or find_project(self.folder)

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """Return the variable with the URL of each of several databases, by name; empty for one database."""
        if self.registry_place:
            routing = self.registry.routing
            return {} if routing is None else routing.variables
        return {} if self.project is None else self.project.databases

    @cached_property
    def name(self) -> str | None:
        """Return the name of the database in its project; None without names, or with a URL, which has a colon.

        Raises `InvalidOptionError` for an unknown name, and if the project has several databases and none is chosen.
        """
        if not self.variables or (self.database is not None and ":" in self.database):
            return None
        if self.database is None and len(self.variables) == 1:
            return next(iter(self.variables))
        if self.database not in self.variables:
            names = ", ".join(self.variables)
            wrong = "" if self.database is None else f"no database is called {shown(self.database)}; "
            raise InvalidOptionError(f"{wrong}the project has the databases {names}; choose one with --database NAME")
        return self.database

    def databases(self) -> Sequence[Workspace]:
        """Return a workspace for each database of the project; this one if it has one, or if an option chooses."""
        if self.database is not None or not self.variables:
            return [self]
        return [replace(self, database=name) for name in self.variables]

    def of_job(self, registry: JobRegistry, new: NewJob) -> Workspace:
        """Return a workspace for the database that a new job belongs to, unless an option chooses one."""
        if self.database is not None or registry.routing is None:
            return self
        return replace(self, database=registry.routing.name_of_jobs([new]))

    @cached_property
    def url(self) -> str:
        """Return the URL of the database. It may contain a password: print `shown_url` instead.

        The default is Django's database, or a file in the project's folder, also if the command runs in a folder below.
        Raises `InvalidOptionError` as `name`, and `DatabaseError` if the variable of a name is not set.
        """
        if self.name is not None:
            return Routing(self.variables).url_of(self.name)
        if self.database is None and self.uses_django:
            return django_settings.url()
        url = database_url(self.database, variable=self.project.database_url_env if self.project else None)
        if url == DEFAULT_URL and self.database is None and not os.environ.get(self._url_variable):
            django_settings.check_settings_are_named(self.project.root if self.project else self.folder)
        if url == DEFAULT_URL and self.project is not None and self.project.root != Path.cwd():
            return f"sqlite:///{self.project.root / DEFAULT_FILE}"
        return url

    @property
    def _url_variable(self) -> str:
        return self.project.url_variable if self.project else DATABASE_URL

    @property
    def shown_url(self) -> str:
        """Return the URL without its password."""
        return without_password(self.url)

    @cached_property
    def schema(self) -> str | None:
        """Return the PostgreSQL schema of the tables; None for the first one of the connection's search path."""
        if self.project is not None:
            return self.project.schema
        return self.registry.database_schema if self.registry_place else None

    @property
    def shown_place(self) -> str:
        """Return the URL without its password, the schema, and the name of the database."""
        is_used = self.schema is not None and is_postgres(self.url)
        place = f"{self.shown_url} (schema {self.schema})" if is_used else self.shown_url
        return place if self.name is None else f"{self.name}, {place}"

    @cached_property
    def registry(self) -> JobRegistry:
        """Return the jobs of the project. Raises `ProjectError` if they are not generated yet or cannot be imported."""
        return self.registry_for(None)

    def registry_for(self, job: str | None) -> JobRegistry:
        """Like `registry`, for a command that needs one job of this name: import no other one."""
        if not self.registry_place:
            registry = registry_of(self.required_project(), job)
            if self.uses_django:
                django_settings.add_tasks(registry)
            return registry
        folders = import_folders(self.project.root if self.project else self.folder)
        return import_registry(self.registry_place, folders, job)

    def open_database(self, *, only_reads: bool = False) -> Database:
        """Return the database, not connected yet. Raises `DatabaseError` if it certainly cannot be used.

        With `only_reads`, a SQLite file is not changed.
        """
        _ = self.name  # a wrong choice is wrong usage
        try:
            database = open_database(self.url, schema=self.schema)
        except InvalidOptionError as error:
            raise DatabaseError(str(error)) from error
        if isinstance(database, SqliteDatabase):
            self._check_is_meant(database)
            database.check_file(self._url_variable)
            return SqliteDatabase(database.path, only_reads=only_reads)
        return database

    def _check_is_meant(self, database: SqliteDatabase) -> None:
        """Raise `ProjectError` for the default file if it is missing and this folder is in no project."""
        is_default = self.url == DEFAULT_URL and self.database is None and not os.environ.get(self._url_variable)
        if is_default and not self.registry_place and self.project is None and not Path(database.path).exists():
            try:
                find_project(self.folder)
            except ProjectNotFoundError as error:
                raise ProjectError(f"{error}; or name a database with --database or {self._url_variable}") from None

    @asynccontextmanager
    async def open_store(self, *, only_reads: bool = False) -> AsyncIterator[SqlStore]:
        """Open the stored jobs, without a registry; with `only_reads`, without changing them."""
        store = SqlStore(self.open_database(only_reads=only_reads))
        if self.name is not None:
            from server_jobs.named_databases import check_held_name  # most projects have one database

            store.check_name = partial(check_held_name, self.name, self.variables[self.name])
        try:
            await store.open()
            yield store
        finally:
            await store.close()

    def with_store(self, work: Callable[[Store], Awaitable[T]], *, only_reads: bool = False) -> T:
        """Run `work` on the stored jobs, in an event loop. With `only_reads`, nothing is changed."""

        async def on_open_store() -> T:
            async with self.open_store(only_reads=only_reads) as store:
                return await work(store)

        return run(on_open_store())

    @asynccontextmanager
    async def open_backend(
        self,
        registry: JobRegistry | None = None,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        lease: timedelta = DEFAULT_LEASE,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
    ) -> AsyncIterator[Backend]:
        """Open a backend on the database, with every job bound to it. The log gets the records of handlers too.

        `registry` is by default the one with all jobs.
        """
        registry = registry or self.registry
        self.open_database()  # raises its errors before anything connects
        connection = connect(
            registry,
            self.url if self.name is None else None,
            database=self.name,
            max_concurrency=concurrency,
            lease=lease,
            poll_interval=poll_interval,
        )
        with application_logging():
            async with connection as backend:
                yield backend

    @asynccontextmanager
    async def unopened_backend(self, registry: JobRegistry) -> AsyncIterator[Backend]:
        """Like `open_backend`, but bind no job, and connect at the first use."""
        binding: Backend | Databases
        if self.name is None:
            backend = binding = Backend(database=self.url, job_registry=registry)
        else:
            from server_jobs.named_databases import Databases

            binding = Databases(registry)
            backend = binding[self.name]
        try:
            with application_logging():
                yield backend
        finally:
            await binding.shutdown()

    @asynccontextmanager
    async def open_databases(self) -> AsyncIterator[Databases]:
        """Bind every job to the databases of the project. Each opens at its first use."""
        with application_logging():
            async with connect_databases(self.registry) as databases:
                yield databases

    def stored_name(self, name: str) -> str:
        """Return the stored name of a job. Rows of another project may have a name that is not registered."""
        try:
            registry = self.registry_for(name)
        except ServerJobsError:
            return name
        job = registry.get(name)
        if job is None:
            note(f"no job is called {name!r} here; {suggestion(name, registry.get_names())}")
            return name
        return job.job_name


def run(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end. Raises `KeyboardInterrupt` for SIGINT; SIGTERM exits with status 143."""
    try:
        return asyncio.run(_until_terminated(work))
    except asyncio.CancelledError:
        sys.exit(TERMINATED)


async def _until_terminated(work: Coroutine[object, object, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task is None or sys.platform == "win32":
        return await work
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def actor() -> str:
    """Return `user:NAME` for the audit log."""
    return f"user:{user()}"


def user() -> str:
    """Return the name, or else the number, of the operating-system user of this process.

    Environment variables such as USER can be set by anybody. They count only on systems without user ids.
    """
    if not hasattr(os, "getuid"):
        import getpass

        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
