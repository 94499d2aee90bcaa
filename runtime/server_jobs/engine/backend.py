"""A registry and a database: what a caller needs to enqueue jobs. `execution` has what runs them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict, TypeVar

from .. import redirection
from ..binding import Binding
from ..concurrency.blocking import run_in_loop_of
from ..domain.clock import Clock, SystemClock
from ..domain.interfaces import Database, Store
from ..domain.option_kinds import check_longer_than_zero, check_range
from ..domain.record import Inserted, NewJob
from ..errors import DatabaseError, ServerJobsError
from ..hooks import Hooks
from ..middleware import NO_HEADERS, enqueuing
from ..registry import JobRegistry
from ..resources import OpenLifespans
from ..stores.opening import store_of

if TYPE_CHECKING:
    from .direct_runs import DirectRuns
    from .execution import Execution

T = TypeVar("T")

DEFAULT_CONCURRENCY = 5
DEFAULT_LEASE = timedelta(seconds=60)
DEFAULT_POLL_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBackendConfig:
    """The configuration of a backend. `lease` is the duration of a claim, renewed while the handler runs."""

    database: object = field(repr=False)
    job_registry: JobRegistry
    max_concurrency: int = DEFAULT_CONCURRENCY
    lease: timedelta = DEFAULT_LEASE
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL


class BackendOptions(TypedDict, total=False):
    """Options of every backend."""

    max_concurrency: int
    lease: timedelta
    poll_interval: timedelta
    clock: Clock | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store answers, and its error if it does not."""

    ok: bool
    detail: str


class StoreInUse:
    """The store of a backend, the process and the event loop that opened it, and the execution of its jobs."""

    execution: Execution | None = None
    """None until this process runs a job."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loop: asyncio.AbstractEventLoop | None = None
        self.process: int | None = None
        self._opening = 0
        """The number of calls that are opening the store."""

    @property
    def is_inherited(self) -> bool:
        """Whether the parent of this process opened the store."""
        return self.process is not None and self.process != os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether the store is open in an event loop of this process."""
        return self.process == os.getpid() and self.loop is not None and not self.loop.is_closed()

    async def open(self) -> None:
        """Open the store. If every call that opens it is cancelled or fails, close it again."""
        self._opening += 1
        try:
            await self.store.open()
            self.loop, self.process = asyncio.get_running_loop(), os.getpid()
        except BaseException:
            if self._opening == 1 and not self.is_open:
                await self.store.close()
            raise
        finally:
            self._opening -= 1

    async def close(self) -> None:
        """Close the store, and forget the execution, for example an outage that it noted."""
        self.loop = self.process = None
        await self.store.close()
        self.execution = None


class Backend:
    """A backend over any store.

    `database` is a store, a database, or a URL. The backend opens it at the first use, or in `initialize`. `clock` is
    for tests. Handlers in their own processes can enqueue only if `database` is a URL.

        backend = Backend(database="sqlite:///server-jobs.sqlite3", job_registry=registry)
        registry.bind(backend)
        await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
        await backend.shutdown()
    """

    for_handlers: Binding | None = None
    """The binding of job classes inside the handlers that this backend runs; None: this backend."""
    runs_all_here = False
    """Whether all handlers run in this process, also where their spec asks for another one."""

    def __init__(
        self,
        *,
        database: Store | Database | str,
        job_registry: JobRegistry,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        lease: timedelta = DEFAULT_LEASE,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
        clock: Clock | None = None,
    ) -> None:
        check_range("max_concurrency", max_concurrency, 1, 10_000)
        check_longer_than_zero("lease", lease)
        check_longer_than_zero("poll_interval", poll_interval)
        self.config = WorkerBackendConfig(
            database=database,
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lease=lease,
            poll_interval=poll_interval,
        )
        self.clock = clock or SystemClock()
        self._database = database
        self._own = StoreInUse(self.own_store())
        self._inherited: list[StoreInUse] = []
        self.name = self.store.name
        self.inserted: list[Callable[[], None]] = []
        """Called after every insert and every end of a batch in this process, so that its workers claim at once."""
        self.lifespans = OpenLifespans(lambda: self.hooks.lifespans)
        """The lifespans of the registry, open or not."""

    def own_store(self) -> Store:
        """Return a store of the database that this backend was made with, not opened yet."""
        return store_of(self._database, self.registry.database_schema)

    @property
    def _in_use(self) -> StoreInUse:
        return self._own if redirection.current is None else redirection.current.store_in_use(self._own)

    @property
    def store(self) -> Store:
        """The stored jobs."""
        return self._in_use.store

    @property
    def execution(self) -> Execution:
        """What runs the jobs of this backend in this process. The first use imports and makes it."""
        in_use = self._in_use
        if in_use.is_inherited:
            in_use = self._start_over()
        if in_use.execution is None:
            in_use.execution = self.new_execution(in_use.store)
        return in_use.execution

    def new_execution(self, store: Store) -> Execution:
        """Return a new execution on this store. Subclasses replace parts of it."""
        from .execution import Execution  # a process that only enqueues does without

        return Execution(self, store)

    @property
    def database_name(self) -> str | None:
        """The name of its database in a project with several ones, or else None."""
        return None

    @property
    def registry(self) -> JobRegistry:
        """The jobs of this backend."""
        return self.config.job_registry

    @property
    def hooks(self) -> Hooks:
        """The middleware and the lifespans of the registry."""
        return self.config.job_registry.hooks

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which this process opened the backend; None while it is closed."""
        in_use = self._in_use
        return in_use.loop if in_use.is_open else None

    def run_blocking(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run the call for code without an event loop, and wait for it."""
        return run_in_loop_of(self, call)

    async def initialize(self) -> None:
        """Open the store. Does nothing if it is open.

        Raises `DatabaseError`, or `SchemaMissingError` when migrations have not run. A forked child opens its own
        connections, which needs a URL as database.
        """
        in_use = self._own if redirection.current is None else self._in_use
        if in_use.process == os.getpid() and in_use.loop is asyncio.get_running_loop():
            return  # as for almost every job
        if in_use.is_inherited:
            in_use = self._start_over()
        if not in_use.is_open:
            await in_use.open()

    def _start_over(self) -> StoreInUse:
        """Start over in a forked child, which must neither use nor close the connections of its parent."""
        if not isinstance(self._database, str):
            raise DatabaseError(
                "this backend was opened before the process was forked, and its connections belong to the parent; "
                "give it the URL of its database, or make it in the forked process"
            )
        self._inherited.append(self._own)  # keep it alive: garbage collection would close it
        self._own = StoreInUse(self.own_store())
        self.lifespans.forget()
        return self._in_use

    async def shutdown(self) -> None:
        """Release running jobs, close the lifespans and the store. The next call opens them again."""
        in_use = self._in_use
        if in_use.execution is not None:
            await in_use.execution.stop()
        await self.lifespans.close()
        await in_use.close()

    async def health_check(self) -> Health:
        """Check whether the store answers."""
        try:
            await self.initialize()
            await self.store.ping()
        except ServerJobsError as error:
            return Health(ok=False, detail=str(error))
        return Health(ok=True, detail=f"{self.name} answers")

    def allowance(self) -> int | None:
        """How many more jobs a tick may run, schedules it may fire, or reads a stream may make; None: unlimited."""
        return None

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        """Store pending jobs, and wake the workers of this process."""
        if redirection.current is not None:
            redirected = await redirection.current.insert(self, jobs, request_trace)
            if redirected is not None:
                return redirected
        await self.initialize()
        store = (self._own if redirection.current is None else self._in_use).store
        if middleware := self.hooks.middleware:
            with enqueuing(middleware, jobs, request_trace) as new:
                inserted = await store.insert(new)
        else:
            inserted = await store.insert(jobs)
        for notify in self.inserted:
            notify()
        return inserted

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Make the completion jobs of ended batches due, and wake the workers of this process."""
        await self.initialize()
        ended = await self.store.end_batches(batch_ids)
        if ended:
            for notify in self.inserted:
                notify()
        return ended

    @asynccontextmanager
    async def direct_runs(self) -> AsyncIterator[DirectRuns]:
        """Yield the runs of jobs that a caller waits for, such as `now`."""
        from .direct_runs import DirectRuns  # imported when used, as in `new_execution`

        yield DirectRuns(self.execution)
