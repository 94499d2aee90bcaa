"""The environment of handlers: the jobs of the worker, its database, its hooks and its resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from ...context import JobContext
from ...definition import AnyDefinition, AnyHandler
from ...errors import HandlerMissingError
from ...hooks import Hooks
from ...isolation.import_path import load
from ...isolation.messages import Call, Setup
from ...registry import JobRegistry, Register
from ...resources import NO_RESOURCES, OpenLifespans, Resources
from ..attempts.places import is_async
from ..backend import Backend
from .opening_reader import OpeningReader

BackendOf = Callable[[str, JobRegistry, OpenLifespans], Backend]
"""Makes the backend of handlers from the URL of the worker's database."""


def run_handlers_here(backend: Backend, lifespans: OpenLifespans) -> None:
    """Let a backend run handlers in this process, with these lifespans."""
    backend.lifespans = lifespans
    backend.runs_all_here = True


def backend_of(database: str, registry: JobRegistry, lifespans: OpenLifespans) -> Backend:
    """Return the backend for handlers of a worker with one database."""
    backend = Backend(database=database, job_registry=registry)
    run_handlers_here(backend, lifespans)
    return backend


class Environment:
    """What `Setup` describes. The database and the resources open when a handler needs them."""

    def __init__(self, setup: Setup, backend_of: BackendOf) -> None:
        self._database = setup.database
        self._backend_of = backend_of
        self._registry = _ImportingRegistry(setup)
        for path in setup.set_ups:
            self._registry.set_up(cast("Register", load(path)))
        self._lifespans = OpenLifespans(lambda: self.hooks.lifespans)
        self._backends: dict[bool, Backend] = {}

    @property
    def hooks(self) -> Hooks:
        """The middleware and the lifespans of this process."""
        return self._registry.hooks

    async def open_resources(self) -> Resources:
        """Open the lifespans at the first call."""
        return await self._lifespans.open() if self.hooks.lifespans else NO_RESOURCES

    def backend_for(self, handler: AnyHandler) -> Backend | None:
        """Return the backend for job classes; None if the worker's database has no URL.

        A backend belongs to one event loop. Plain handlers run outside of the loop of async handlers, and get another
        backend.
        """
        if self._database is None:
            return None
        kind = is_async(handler)
        if kind not in self._backends:
            self._backends[kind] = self._backend_of(self._database, self._registry, self._lifespans)
        return self._backends[kind]

    def context_of(self, call: Call, backend: Backend | None, resources: Resources) -> JobContext:
        """Return the context of a call, equal to the one that the worker would make."""
        context = JobContext(
            job_name=call.paths.job_name,
            job_id=call.job_id,
            attempt=call.attempt,
            correlation_id=call.correlation_id,
            database=self._database,
            jobs=None if backend is None or call.job_id is None else OpeningReader(backend),
            resources=resources,
        )
        context.idempotency_key = call.idempotency_key
        return context

    async def close(self) -> None:
        """Close the resources and the backend of this event loop."""
        await self._lifespans.close()
        if True in self._backends:
            await self._backends[True].shutdown()


class _ImportingRegistry(JobRegistry):
    """The registry of the worker. It imports each handler at its first use."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(database_schema=setup.database_schema, routing=setup.routing())
        self._paths = {paths.job_name: paths.handler for paths in setup.jobs}

    def handler_of(self, job: AnyDefinition) -> AnyHandler:
        path = self._paths.get(job.job_name)
        handler = cast("AnyHandler | None", job.handler if path is None else load(path))
        if handler is None:
            raise HandlerMissingError(job.job_name)
        return handler
