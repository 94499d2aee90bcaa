"""What runs the jobs of a backend in this process: claim, run, settle. `chores` has the work around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..binding import Binding
from ..domain.interfaces import Store
from ..domain.record import ClaimRequest, Outcome
from ..errors import InvalidOptionError
from .attempts.attempt import Attempt
from .attempts.factory import HAS_PROCESSES, AttemptFactory
from .attempts.runner import Runner
from .backend import Backend
from .chores import Chores
from .pruner import Pruner
from .scheduler import Scheduler


class Execution:
    """Runs the jobs of a backend on one store.

    `take` claims jobs, and `run` or `runner.perform` runs each of them and stores its outcome.
    """

    def __init__(self, backend: Backend, store: Store) -> None:
        self.backend = backend
        self.store = store
        self.registry = backend.registry
        self.config = backend.config
        self.clock = backend.clock
        self.binding: Binding = backend.for_handlers or backend
        """The binding of job classes inside the handlers."""
        self.attempt_factory = AttemptFactory(self.config, has_processes=HAS_PROCESSES and not backend.runs_all_here)
        self.runner = Runner(store, self.clock)
        self.scheduler = Scheduler(store, self.registry)
        self.pruner = Pruner(store, self.registry, self.clock)
        self.chores = Chores(self)

    def check_handlers(self) -> None:
        """Raise `InvalidOptionError` for a handler that its process could not import."""
        self.attempt_factory.check_handlers()

    async def prepare(self) -> None:
        """Open the store and the lifespans.

        Everything that runs a handler calls this first. Raises `DatabaseError`, and `SetupError` if a lifespan does not
        open.
        """
        await self.backend.initialize()
        await self.open_resources()

    async def open_resources(self) -> None:
        """Open the lifespans of the registry. Does nothing if they are open. Raises `SetupError`."""
        if self.backend.hooks.lifespans:
            self.attempt_factory.resources = await self.backend.lifespans.open()

    async def stop(self) -> None:
        """Release running jobs, and end the handler processes."""
        await self.runner.stop(self.runner.attempts())
        await self.attempt_factory.close()

    def request(
        self,
        *,
        limit: int,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
        worker_id: str | None = None,
    ) -> ClaimRequest:
        """Return a claim request for the jobs with a handler in this registry."""
        return ClaimRequest(
            known=self.registry.known_jobs(),
            limit=limit,
            lease=self.config.lease,
            queues=queues,
            slots=slots,
            limited=limited,
            worker_id=worker_id,
        )

    async def take(
        self,
        limit: int,
        *,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
        worker_id: str | None = None,
    ) -> Sequence[Attempt]:
        """Claim up to `limit` due jobs with a handler in this registry, and renew their leases from now on.

        If the caller is cancelled, finish the claim and release the jobs. Raises `DependencyError` for a handler with a
        parameter that no resource fills.
        """
        attempts = await self.claim(
            self.request(limit=limit, queues=queues, slots=slots, limited=limited, worker_id=worker_id)
        )
        self.runner.leases.add(attempts)
        return attempts

    async def claim(self, request: ClaimRequest) -> Sequence[Attempt]:
        """Like `take`, but nobody renews the leases before the attempts run."""
        check_limit(request.limit)
        if unready := self.attempt_factory.unready:
            request = replace(request, known=tuple(job for job in request.known if job.name not in unready))
        await self.prepare()
        self.attempt_factory.check_dependencies()
        claimed = self.clock.monotonic()
        claims = await self.runner.claim(self.store.claim(request))
        return self.attempt_factory.attempts_of(claims, self.store, claimed, request.lease)

    async def run(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        """Run an attempt, store its outcome, and return the outcome and the error.

        If the caller is cancelled, release the job.
        """
        return await self.runner.run(attempt, self.binding)

    async def release(self, attempts: Sequence[Attempt]) -> None:
        """Release the jobs of attempts that did not start; they keep the attempt."""
        for attempt in attempts:
            self.runner.leases.remove(attempt)
        await self.runner.release([attempt.claim for attempt in attempts])


def check_limit(limit: int) -> None:
    """Raise `InvalidOptionError` for a negative number of jobs."""
    if limit < 0:
        raise InvalidOptionError(f"limit must be at least 0, not {limit}")
