"""Make attempts of claims: find the handler, the upcasters and the processes of each job."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ... import redirection
from ...context import JobContext
from ...contract.upcasts import Versions
from ...definition import AnyDefinition, AnyHandler
from ...domain.interfaces import Store
from ...domain.options import BUILT_IN_PLACES, WORKER
from ...domain.record import Claim
from ...middleware import Middleware
from ...redirection import stand_in_for
from ...resources import NO_RESOURCES, Resources
from .attempt import Attempt
from .places import InProcess, Place, place_here

if TYPE_CHECKING:
    from ...isolation.limits import ProcessLimits
    from ...isolation.process_pool import HandlerProcesses
    from ..backend import WorkerBackendConfig

HANDLER_PROGRAM = "server_jobs.engine.handler_process.program"
HAS_PROCESSES = sys.platform not in ("emscripten", "wasi")


class _Parts(NamedTuple):
    """A job with its handler, its place, its versions and its middleware."""

    job: AnyDefinition
    handler: AnyHandler
    place: Place
    versions: Versions
    middleware: Sequence[Middleware]


class AttemptFactory:
    """Makes the attempts of a backend with this configuration.

    If `has_processes` is false, all handlers run in this process, also where their spec asks for another one.
    """

    def __init__(
        self,
        config: WorkerBackendConfig,
        *,
        has_processes: bool = HAS_PROCESSES,
    ) -> None:
        self._registry = config.job_registry
        self._database = config.database
        self._has_processes = has_processes
        self._processes: HandlerProcesses | None = None
        self.outermost: Sequence[Middleware] = ()
        """Middleware around that of the registry."""
        self.program = HANDLER_PROGRAM
        """The module with the `main` of a handler process."""
        self.process_limits: ProcessLimits | None = None
        """The limits of new handler processes."""
        self.places: dict[str, Place] = {}
        """The open places of plug-ins, by name; see `open_places`. Claims of jobs with another one run in a process."""
        self.unready: frozenset[str] = frozenset()
        """Names of jobs that have no place to run yet. Workers claim none of them."""
        self.unplaced: frozenset[str] = frozenset()
        """Names of jobs whose place is not installed. For workers here, they are like jobs without a handler."""
        self.resources = NO_RESOURCES
        """The open resources, for the contexts of handlers."""
        self.checked: Resources | None = None
        """The resources for which `check_dependencies` has checked all handlers."""

    def check_handlers(self) -> None:
        """Raise `InvalidOptionError` for a handler that its process could not import."""
        for registration in self._registry.registrations():
            if registration.handler is not None and (processes := self.processes_for(registration.job)):
                processes.check(registration.job, registration.handler)

    def check_dependencies(self) -> None:
        """Raise `DependencyError` for a handler with a parameter that no open resource fills."""
        if self.checked is not self.resources:
            for registration in self._registry.registrations():
                if registration.handler is not None:
                    self.resources.arguments_of(registration.handler, registration.job.job_name)
            self.checked = self.resources

    def jobs_elsewhere(self, queues: Sequence[str] | None = None) -> Mapping[str, Sequence[str]]:
        """Return the names of the jobs whose place is not built in, by the name of the place; both are sorted.

        `queues` are the queues of a worker; None: all. Jobs without a handler are left out.
        """
        found = sorted(
            (options.run_in, each.job.job_name)
            for each in self._registry.registrations()
            if each.handler is not None
            and (options := each.job.options).run_in not in BUILT_IN_PLACES
            and (queues is None or options.queue in queues)
        )
        return {place: [job for _, job in jobs] for place, jobs in groupby(found, key=itemgetter(0))}

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
                job = self._registry.find(claim.job_name).job
                parts[claim.job_name] = self._parts_of(job, self._place_of(job))
            attempts.append(self._attempt(parts[claim.job_name], claim, store, claimed, lease))
        return attempts

    def attempt_of(self, job: AnyDefinition, claim: Claim, store: Store, claimed: float, lease: timedelta) -> Attempt:
        """Return the attempt of a claim on this job, which may be absent from the registry."""
        return self._attempt(self._parts_of(job, None), claim, store, claimed, lease)

    def _place_of(self, job: AnyDefinition) -> Place | None:
        """Return the open place of a plug-in that a claim of this job needs."""
        place = self.places.get(job.options.run_in)
        return None if place is None or stand_in_for(job.job_name) else place

    def _parts_of(self, job: AnyDefinition, place: Place | None) -> _Parts:
        """Find the handler, the place and the versions of a job. Raises `HandlerMissingError`."""
        current = redirection.current
        stand_in = None if current is None else current.stand_in_for(job.job_name)
        handler = (stand_in and stand_in.handler) or self._registry.handler_of(job)
        if place is None:
            processes = self.processes_for(job)
            place = place_here(handler) if processes is None else InProcess(processes)
        return _Parts(
            job=job,
            handler=handler,
            place=place,
            versions=self._registry.versions_of(job),
            middleware=(*self.outermost, *self._registry.hooks.middleware),
        )

    def _attempt(self, parts: _Parts, claim: Claim, store: Store, claimed: float, lease: timedelta) -> Attempt:
        # By position, which Python calls faster than by name.
        context = JobContext(
            claim.job_name, claim.id, claim.attempt, claim.correlation_id, self._database, store, self.resources
        )
        job, handler, place, versions, middleware = parts
        return Attempt(claim, job, handler, context, claimed, lease, place, versions, middleware)

    def processes_for(self, job: AnyDefinition) -> HandlerProcesses | None:
        """Return the processes that run the handler of this job; None: it runs in this process."""
        if job.options.run_in == WORKER or not self._has_processes or stand_in_for(job.job_name):
            return None
        if self._processes is None:
            from ...isolation.process_pool import HandlerProcesses  # loaded only if a job needs it

            url = self._database if isinstance(self._database, str) else None
            self._processes = HandlerProcesses(
                self.program, self._registry, database_url=url, limits=self.process_limits
            )
        return self._processes
