"""The backend of a call: inside a handler the backend that runs it, otherwise the one bound to the job class."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

from .context import JobContext
from .domain.record import Inserted, NewJob
from .errors import HandlerMissingError
from .hooks import Hooks
from .routing import Routing

if TYPE_CHECKING:
    from .definition import AnyDefinition, AnyHandler, JobDefinition
    from .domain.interfaces import Store
    from .engine.direct_runs import DirectRuns

T = TypeVar("T")
J = TypeVar("J", bound="JobDefinition[Any, Any, Any]")


class JobBackend(Protocol):
    """The part of a backend that job classes use."""

    @property
    def store(self) -> Store: ...

    @property
    def hooks(self) -> Hooks:
        """The middleware and the lifespans of its registry."""
        ...

    def run_blocking(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run the call for code without an event loop, and wait for it."""
        ...

    async def initialize(self) -> None:
        """Open the store. Does nothing if it is open."""
        ...

    async def shutdown(self) -> None:
        """Release running jobs and close the store."""
        ...

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store pending jobs, and wake the workers of this process."""
        ...

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Make the completion jobs of ended batches due, and wake the workers of this process."""
        ...

    def direct_runs(self) -> AbstractAsyncContextManager[DirectRuns]:
        """Yield the runs of jobs in this process that a caller waits for, such as `now`."""
        ...


class NamedJobBackend(JobBackend, Protocol):
    """The backend of one of several databases."""

    @property
    def database_name(self) -> str:
        """The name of the database in the project."""
        ...


class PlacedJobs(list[NewJob]):
    """The new jobs of one call of a job class, which finds their database once, before the call of `insert`."""


class Routed:
    """A binding to several databases, which chooses one for each call. A class, so that asking for it costs no call."""

    @property
    def hooks(self) -> Hooks:
        """As in `JobBackend`."""
        raise NotImplementedError

    def name_for(self, job: AnyDefinition, jobs: Sequence[NewJob] | None) -> str:
        """Return the name of the database of a call that stores these jobs; None: of a call that reads by id.

        Raises `InvalidOptionError` if the jobs belong to two databases, or if only the caller knows the database.
        """
        raise NotImplementedError

    def backend_at(self, name: str) -> NamedJobBackend:
        """Return the backend of a database, not opened yet. Raises `DatabaseError` if its variable is not set."""
        raise NotImplementedError

    def job_at(self, name: str, job: type[J]) -> type[J]:
        """Return a subclass of the job that is bound to this database everywhere."""
        raise NotImplementedError


Binding = JobBackend | Routed
"""What a job class can be bound to."""


class Run(NamedTuple):
    """The current call of a handler. Job classes inside it use its backend and its correlation id."""

    backend: Binding | None
    context: JobContext


class HandlerSource(Protocol):
    """A registry, as a source of handlers for jobs without a backend."""

    hooks: Hooks
    routing: Routing | None

    def own_handler_of(self, job: AnyDefinition) -> AnyHandler | None:
        """Return the handler registered for exactly this class, or None."""
        ...

    def has_class(self, job: AnyDefinition) -> bool:
        """Whether this class or one of its bases is registered. Imports nothing."""
        ...


registries: WeakSet[HandlerSource] = WeakSet()
"""Every registry of this process."""


def handler_without_backend(job: AnyDefinition) -> AnyHandler:
    """Return the handler of a job from the class or any registry. Raises `HandlerMissingError`."""
    found = (registry.own_handler_of(job) for registry in list(registries))
    handler = job.handler or next((handler for handler in found if handler is not None), None)
    if handler is None:
        raise HandlerMissingError(job.job_name)
    return handler


def hooks_without_backend(job: AnyDefinition) -> Hooks:
    """Return the hooks of the registry that has this job; empty ones if none has.

    The registry of a generated job is imported if the project has a set-up function.
    """
    _import_registry(job)
    found = (one.hooks for one in list(registries) if not one.hooks.is_empty and one.has_class(job))
    return next(found, None) or Hooks()


def routing_without_backend(job: AnyDefinition) -> Routing | None:
    """Return the names of the databases of the registry that has this job; None if it has one database.

    The registry of a generated job is imported if the project names its databases.
    """
    _import_registry(job)
    found = (one.routing for one in list(registries) if one.routing is not None and one.has_class(job))
    return next(found, None)


def _import_registry(job: AnyDefinition) -> None:
    home = next((base for base in job.__mro__ if vars(base).get("registry_module")), None)
    if home is not None:
        import_module(job.registry_module or "", home.__module__.rpartition(".")[0])


current_run: ContextVar[Run | None] = ContextVar("current_run", default=None)

handler_backend: ContextVar[Binding | None] = ContextVar("handler_backend", default=None)
"""The backend of calls inside the current handler, if middleware chose another one than the backend that runs it."""

_before_import: dict[tuple[str, str], Binding] = {}


def bind_before_import(module: str, job_name: str, backend: Binding | None) -> Binding | None:
    """Bind a job class that is not imported yet (None: unbind it). Return the backend before."""
    earlier = _before_import.pop((module, job_name), None)
    if backend is not None:
        _before_import[module, job_name] = backend
    return earlier


def bound_before_import(job: type) -> Binding | None:
    """Return the backend that a job class or one of its bases was bound to before its import."""
    places = ((each.__module__, each.__name__) for each in job.__mro__)
    return next((_before_import[place] for place in places if place in _before_import), None)
