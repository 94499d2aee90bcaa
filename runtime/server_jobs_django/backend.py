"""The backend of job classes in a Django project: everything goes through Django's own connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from asgiref.sync import async_to_sync
from server_jobs.domain.record import Inserted, NewJob
from server_jobs.errors import ProjectError
from server_jobs.hooks import Hooks
from server_jobs.middleware import enqueuing
from server_jobs.registry import JobRegistry
from server_jobs.stores.sql.store import SqlStore

from .database import DjangoDatabase, DjangoStore
from .handlers_here import engine_here

if TYPE_CHECKING:
    from server_jobs.engine.direct_runs import DirectRuns

T = TypeVar("T")


class DjangoBackend:
    """A backend on Django's connection, for every thread and every event loop of the process.

    Calls take part in the transaction of the caller, such as a `TestCase`. A blocking call runs in the thread
    of the caller. A coroutine uses the connection that Django uses for the ORM in coroutines. Raises `ProjectError` for
    a project with several databases.
    """

    def __init__(self, registry: JobRegistry) -> None:
        if registry.routing is not None:
            raise ProjectError(
                "[tool.server-jobs.databases] is not possible in a Django project, which keeps its jobs in one of its "
                "DATABASES; remove the table, and choose that database with DATABASE_ROUTERS"
            )
        self._registry = registry
        self._store: SqlStore | None = None

    @property
    def store(self) -> SqlStore:
        """The stored jobs. Raises `InvalidOptionError` for a database that is not supported."""
        if self._store is None:
            self._store = DjangoStore(DjangoDatabase(self._registry.database_schema))
        return self._store

    @property
    def hooks(self) -> Hooks:
        """The middleware and the lifespans of the registry."""
        return self._registry.hooks

    def run_blocking(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run the call for code without an event loop, with its statements in this thread."""

        async def run() -> T:
            return await call()

        result: T = async_to_sync(run)()
        return result

    async def initialize(self) -> None:
        """Do nothing: Django connects when needed."""

    async def shutdown(self) -> None:
        """Do nothing: Django closes its connections."""

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store pending jobs. Workers see them after the commit."""
        with enqueuing(self.hooks.middleware, jobs) as new:
            return await self.store.insert(new)

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Make the completion jobs of ended batches due. Workers see them after the commit."""
        return await self.store.end_batches(batch_ids)

    @asynccontextmanager
    async def direct_runs(self) -> AsyncIterator[DirectRuns]:
        """Yield the runs of jobs in the thread of the caller."""
        async with engine_here(self._registry, self.store) as backend, backend.direct_runs() as runs:
            yield runs
