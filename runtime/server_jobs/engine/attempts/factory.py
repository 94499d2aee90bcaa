"""Make attempts of claims: find the handler, the upcasters and the processes of each job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ... import redirection
from ...context import JobContext
from ...contract.upcasts import Versions
from ...definition import AnyDefinition, AnyHandler
from ...domain.interfaces import Store
from ...domain.options import RunIn
from ...domain.record import Claim
from ...errors import InvalidOptionError
from ...middleware import Middleware
from ...redirection import stand_in_for
from ...resources import NO_RESOURCES, Resources
from .attempt import Attempt
from .places import InProcess, Place, place_here

if TYPE_CHECKING:
    from ...isolation.limits import ProcessLimits
    from ...isolation.pods import Pods
    from ...isolation.process_pool import HandlerProcesses
    from ..backend import WorkerBackendConfig

HANDLER_PROGRAM = "server_jobs.engine.handler_process.program"
_OUT_OF_REACH = ("memory", "sqlite", "d1")
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
        self.pods: Pods | None = None
        """Where the claims of workers run if their spec says `kubernetes`. None: in a process, as in `now`."""
        self.unready: frozenset[str] = frozenset()
        """Names of jobs that have no place to run yet. Workers claim none of them."""
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

    def jobs_for_pods(self, store_name: str, queues: Sequence[str] | None = None) -> Sequence[str]:
        """Return the names of the jobs whose claims need pods, sorted.

        `queues` are the queues of a worker; None: all. Raises `InvalidOptionError` if pods cannot reach the database.
        """
        names = sorted(
            each.job.job_name
            for each in self._registry.registrations()
            if each.handler is not None
            and each.job.options.run_in is RunIn.KUBERNETES
            and (queues is None or each.job.options.queue in queues)
        )
        if names and store_name in _OUT_OF_REACH:
            raise InvalidOptionError(
                f'"runIn": "kubernetes" of {", ".join(names)} needs a database that pods can reach, and this one is '
                f"{store_name}; use PostgreSQL or Turso, or another runIn"
            )
        return names

    def check_pods(self, store_name: str) -> None:
        """Raise `InvalidOptionError` if a job needs pods, and none can be started here."""
        if (names := self.jobs_for_pods(store_name)) and self.pods is None:
            raise InvalidOptionError(
                f'"runIn": "kubernetes" of {", ".join(names)} needs pods, which only `server-jobs worker` starts; '
                "run a worker"
            )

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
                parts[claim.job_name] = self._parts_of(job, self._pods_for(job, store))
            attempts.append(self._attempt(parts[claim.job_name], claim, store, claimed, lease))
        return attempts

    def attempt_of(self, job: AnyDefinition, claim: Claim, store: Store, claimed: float, lease: timedelta) -> Attempt:
        """Return the attempt of a claim on this job, which may be absent from the registry."""
        return self._attempt(self._parts_of(job, None), claim, store, claimed, lease)

    def _pods_for(self, job: AnyDefinition, store: Store) -> Place | None:
        if self.pods is None or job.options.run_in is not RunIn.KUBERNETES or stand_in_for(job.job_name):
            return None
        from .pod_place import InPod  # loaded only if a job needs it

        return InPod(self.pods, store)

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
        if job.options.run_in is RunIn.WORKER or not self._has_processes or stand_in_for(job.job_name):
            return None
        if self._processes is None:
            from ...isolation.process_pool import HandlerProcesses  # loaded only if a job needs it

            url = self._database if isinstance(self._database, str) else None
            self._processes = HandlerProcesses(
                self.program, self._registry, database_url=url, limits=self.process_limits
            )
        return self._processes
