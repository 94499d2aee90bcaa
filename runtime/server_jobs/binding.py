"""Which backend the calls of job classes go to: the one bound, or inside a handler the one that executes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakSet

from pydantic import BaseModel

from .context import JobContext
from .domain.record import Inserted, JobRecord, NewJob
from .errors import HandlerMissingError
from .result import JobMetadata

if TYPE_CHECKING:
    from .definition import AnyDefinition, AnyHandler
    from .domain.interfaces import Store


class JobBackend(Protocol):
    """What a job class needs of the backend it is bound to."""

    @property
    def store(self) -> Store: ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop it was opened in; None if it is closed."""
        ...

    async def initialize(self) -> None:
        """Open the store. Harmless when it is open."""
        ...

    async def shutdown(self) -> None:
        """Give running jobs back and close the store."""
        ...

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store pending jobs, and let waiting workers of this process know."""
        ...

    async def run_new(self, job: AnyDefinition, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        """Store a job as running, execute it here, settle it."""
        ...

    async def run_stored(self, job: AnyDefinition, job_id: str, worker_timeout: timedelta) -> JobRecord:
        """Claim that stored job, execute it here, settle it. Raises `JobUnavailableError`."""
        ...

    async def run_unstored(
        self, job: AnyDefinition, params: BaseModel, correlation_id: str | None
    ) -> tuple[JobMetadata, BaseModel | None]:
        """Execute the job here without a trace in the store."""
        ...


class Run(NamedTuple):
    """A call of a handler, for the code inside it: job classes enqueue into that backend, with its correlation id."""

    backend: JobBackend | None
    context: JobContext


class HandlerSource(Protocol):
    """A registry, for jobs that no backend is bound to."""

    def own_handler_of(self, job: AnyDefinition) -> AnyHandler | None:
        """Return the handler that is registered for exactly this class; None if there is none."""
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


current_run: ContextVar[Run | None] = ContextVar("current_run", default=None)

_before_import: dict[tuple[str, str], JobBackend] = {}


def bind_before_import(module: str, job_name: str, backend: JobBackend | None) -> JobBackend | None:
    """Let a job class that is not imported yet be bound to that backend (None: to none); returns the one before."""
    earlier = _before_import.pop((module, job_name), None)
    if backend is not None:
        _before_import[module, job_name] = backend
    return earlier


def bound_before_import(job: type) -> JobBackend | None:
    """What a job class, or the one that it derives from, was bound to before it was imported."""
    places = ((each.__module__, each.__name__) for each in job.__mro__)
    return next((_before_import[place] for place in places if place in _before_import), None)
