"""The databases of a project, and the backend of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Unpack, cast

from ..binding import J, PlacedJobs, Routed
from ..definition import AnyDefinition
from ..domain.interfaces import Database, Store
from ..domain.record import Inserted, NewJob
from ..engine.backend import Backend, BackendOptions
from ..engine.direct_runs import DirectRuns
from ..engine.execution import Execution
from ..errors import InvalidOptionError
from ..hooks import Hooks
from ..middleware import NO_HEADERS
from ..registry import JobRegistry
from ..resources import OpenLifespans
from ..routing import Routing
from ..stores.sql.store import SqlStore
from .execution import NamedExecution
from .names import Naming, check_held_name


class Databases(Routed):
    """The databases of a project by name, each with a backend that opens at its first use.

    Job classes that are bound to it find the database of their params. A class without `shardBy` uses the first
    database. A call by id, such as `handle(id)`, of a class with `shardBy` needs a choice, by `using` or `bound_to`.

    `databases` replaces the databases that the variables of the registry name, for tests. `made` is called with each
    new backend. Raises `InvalidOptionError` if the registry names no databases.

        from server_jobs.stores.memory import MemoryStore

        registry = create_job_registry(databases={"eu": "EU_DATABASE_URL", "us": "US_DATABASE_URL"}).register(SendEmail)
        databases = Databases(registry, databases={"eu": MemoryStore(), "us": MemoryStore()})
        async with connect_databases(databases):
            handle = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
            same = SendEmail.using(databases["eu"]).handle(str(handle))
            print(await same.status())
    """

    def __init__(
        self,
        registry: JobRegistry,
        *,
        databases: Mapping[str, Store | Database | str] | None = None,
        made: Callable[[NamedBackend], None] | None = None,
        **options: Unpack[BackendOptions],
    ) -> None:
        if registry.routing is None:
            raise InvalidOptionError("the registry names no databases; write them to [tool.server-jobs.databases]")
        self.registry = registry
        self.routing: Routing = registry.routing
        self._given = databases
        self._made = made
        self._options = options
        self._backends: dict[str, NamedBackend] = {}
        self._jobs: dict[tuple[str, AnyDefinition], AnyDefinition] = {}
        self.lifespans = OpenLifespans(lambda: registry.hooks.lifespans)
        """The lifespans of the registry, which all backends of this process share."""

    def __getitem__(self, name: str) -> NamedBackend:
        """Return the backend of this database. Raises `InvalidOptionError` for another name.

        Raises `DatabaseError` if its variable is not set.
        """
        found = self._backends.get(name)
        return found or self._backends.setdefault(name, self._new(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.routing.names)

    def __len__(self) -> int:
        return len(self.routing.names)

    def __contains__(self, name: object) -> bool:
        return name in self.routing.names

    @property
    def hooks(self) -> Hooks:
        return self.registry.hooks

    def name_for(self, job: AnyDefinition, jobs: Sequence[NewJob] | None) -> str:
        if jobs is not None:
            return self.routing.name_of_jobs(jobs)
        if job.options.shard_by is None:
            return self.routing.first
        name = job.__name__
        raise InvalidOptionError(
            f"the jobs {job.job_name} are in several databases ({', '.join(self.routing.names)}), and an id does not "
            f"say in which; choose one: {name}.using(databases[{self.routing.first!r}])"
        )

    def backend_at(self, name: str) -> NamedBackend:
        return self[name]

    def job_at(self, name: str, job: type[J]) -> type[J]:
        made = self._jobs.get((name, job))
        if made is None:
            made = self._jobs[name, job] = job.using(self[name])
        return cast("type[J]", made)

    async def shutdown(self) -> None:
        """Shut down all backends, also if one of them fails. The next call opens them again."""
        async with AsyncExitStack() as shutdowns:
            for backend in self._backends.values():
                shutdowns.push_async_callback(backend.shutdown)

    def _new(self, name: str) -> NamedBackend:
        self.routing.variable_of(name)  # raises for another name
        database = self.routing.url_of(name) if self._given is None else self._given[name]
        backend = NamedBackend(self, name, database, **self._options)
        if self._made is not None:
            self._made(backend)
        return backend


class NamedBackend(Backend, Routed):
    """The backend of one of several databases. It refuses jobs that belong to another one.

    When it opens, it compares the name that the database holds. Handlers that it runs use all databases.
    """

    def __init__(
        self, databases: Databases, name: str, database: Store | Database | str, **options: Unpack[BackendOptions]
    ) -> None:
        self._name = name
        self.routing = databases.routing
        self.variable = self.routing.variable_of(name)
        self._naming = Naming(name, self.variable)
        with self._naming:
            super().__init__(database=database, job_registry=databases.registry, **options)
        self.lifespans = databases.lifespans
        self.for_handlers = _InHandlers(databases, name)

    @property
    def database_name(self) -> str:
        return self._name

    def own_store(self) -> Store:
        store = super().own_store()
        if isinstance(store, SqlStore):
            store.check_name = partial(check_held_name, self.database_name, self.variable)
        return store

    def new_execution(self, store: Store) -> Execution:
        return NamedExecution(self, store, self.routing, self.database_name)

    def name_for(self, job: AnyDefinition, jobs: Sequence[NewJob] | None) -> str:
        del job
        if jobs:
            self._check(jobs)
        return self.database_name

    def backend_at(self, name: str) -> NamedBackend:
        del name
        return self

    def job_at(self, name: str, job: type[J]) -> type[J]:
        del name
        return job

    def _check(self, jobs: Sequence[NewJob]) -> None:
        wanted = self.routing.name_of_jobs(jobs)
        if wanted != self.database_name:
            raise InvalidOptionError(
                f"this {jobs[0].job_name} belongs to the database {wanted!r}, not to {self.database_name!r}; enqueue "
                "it there"
            )

    async def initialize(self) -> None:
        with self._naming:
            await super().initialize()

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        if jobs and not isinstance(jobs, PlacedJobs):
            self._check(jobs)
        with self._naming:
            return await super().insert(jobs, request_trace)

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        with self._naming:
            return await super().end_batches(batch_ids)

    @asynccontextmanager
    async def direct_runs(self) -> AsyncIterator[DirectRuns]:
        with self._naming:
            yield DirectRuns(self.execution)


class _InHandlers(Routed):
    """The databases for job classes inside handlers. A call by id uses the database of the job that runs."""

    def __init__(self, databases: Databases, here: str) -> None:
        self._databases = databases
        self._here = here

    @property
    def hooks(self) -> Hooks:
        return self._databases.hooks

    def name_for(self, job: AnyDefinition, jobs: Sequence[NewJob] | None) -> str:
        if jobs is None and job.options.shard_by is not None:
            return self._here
        return self._databases.name_for(job, jobs)

    def backend_at(self, name: str) -> NamedBackend:
        return self._databases[name]

    def job_at(self, name: str, job: type[J]) -> type[J]:
        return self._databases.job_at(name, job)
