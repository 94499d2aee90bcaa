"""Make attempts of claims: find the handler, the upcasters and the processes of each job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ..binding import stand_in_for
from ..context import JobContext
from ..contract.upcasts import Versions
from ..definition import AnyDefinition, AnyHandler
from ..domain.interfaces import Store
from ..domain.options import RunIn
from ..domain.record import Claim
from ..middleware import Middleware
from ..resources import NO_RESOURCES
from .attempt import Attempt
from .worker_backend import WorkerBackendConfig

if TYPE_CHECKING:
    from ..isolation.process_pool import HandlerProcesses

HANDLER_PROGRAM = f"{__package__}.handler_process"
HAS_PROCESSES = sys.platform not in ("emscripten", "wasi")


class _Parts(NamedTuple):
    """A job with its handler, its processes, its versions and its middleware."""

    job: AnyDefinition
    handler: AnyHandler
    processes: HandlerProcesses | None
    versions: Versions
    middleware: Sequence[Middleware]


class AttemptFactory:
    """Makes the attempts of a backend with this configuration.

    If `has_processes` is false, all handlers run in this process, also where their spec asks for another one.
    `outermost` surrounds the middleware of the registry.
    """

    def __init__(
        self,
        config: WorkerBackendConfig,
        *,
        has_processes: bool = HAS_PROCESSES,
        outermost: Sequence[Middleware] = (),
    ) -> None:
        self._registry = config.job_registry
        self._database = config.database
        self._has_processes = has_processes
        self._outermost = tuple(outermost)
        self._processes: HandlerProcesses | None = None
        self.resources = NO_RESOURCES
        """The open resources, for the contexts of handlers."""

    def check_handlers(self) -> None:
        """Raise `InvalidOptionError` for a handler that its process could not import."""
        for registration in self._registry.registrations():
            if registration.handler is not None and (processes := self.processes_for(registration.job)):
                processes.check(registration.job, registration.handler)

    async def close(self) -> None:
        """End the handler processes."""
        if self._processes is not None:
            await self._processes.close()

    def attempts_of(self, claims: Sequence[Claim], store: Store, claimed: float, lease: timedelta) -> list[Attempt]:
        """Return an attempt for each claim, with jobs and handlers of the registry."""
        parts: dict[str, _Parts] = {}  # one entry per job name, for hundreds of claims
        attempts: list[Attempt] = []
        for claim in claims:
            if claim.job_name not in parts:
                parts[claim.job_name] = self._parts_of(self._registry.find(claim.job_name).job)
            attempts.append(self._attempt(parts[claim.job_name], claim, store, claimed, lease))
        return attempts

    def attempt_of(self, job: AnyDefinition, claim: Claim, store: Store, claimed: float, lease: timedelta) -> Attempt:
        """Return the attempt of a claim on this job, which may be absent from the registry."""
        return self._attempt(self._parts_of(job), claim, store, claimed, lease)

    def _parts_of(self, job: AnyDefinition) -> _Parts:
        """Find the handler, processes and versions of a job. Raises `HandlerMissingError`."""
        return _Parts(
            job=job,
            handler=_replaced_handler(job) or self._registry.handler_of(job),
            processes=self.processes_for(job),
            versions=self._registry.versions_of(job),
            middleware=(*self._outermost, *self._registry.hooks.middleware),
        )

    def _attempt(self, parts: _Parts, claim: Claim, store: Store, claimed: float, lease: timedelta) -> Attempt:
        context = JobContext(
            job_name=claim.job_name,
            job_id=claim.id,
            attempt=claim.attempt,
            correlation_id=claim.correlation_id,
            database=self._database,
            jobs=store,
            resources=self.resources,
        )
        return Attempt(
            claim=claim,
            job=parts.job,
            handler=parts.handler,
            context=context,
            claimed=claimed,
            lease=lease,
            processes=parts.processes,
            versions=parts.versions,
            middleware=parts.middleware,
        )

    def processes_for(self, job: AnyDefinition) -> HandlerProcesses | None:
        """Return the processes that run the handler of this job; None: it runs in this process."""
        if job.options.run_in is not RunIn.PROCESS or not self._has_processes or stand_in_for(job.job_name):
            return None
        if self._processes is None:
            from ..isolation.process_pool import HandlerProcesses  # loaded only if a job needs it

            url = self._database if isinstance(self._database, str) else None
            self._processes = HandlerProcesses(HANDLER_PROGRAM, self._registry, database_url=url)
        return self._processes


def _replaced_handler(job: AnyDefinition) -> AnyHandler | None:
    """Return the handler that a test puts in the place of the registered one, or None."""
    stand_in = stand_in_for(job.job_name)
    return stand_in.handler if stand_in else None
