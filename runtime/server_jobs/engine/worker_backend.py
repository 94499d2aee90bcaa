"""Jobs that a caller claims and runs one by one, by the interface of the TypeScript package."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Unpack

from ..domain.interfaces import Database, Store
from ..domain.record import Claim, Expired, Outcome, Released
from ..errors import StaleClaimError
from ..registry import JobRegistry
from .attempts.attempt import Attempt, Stop
from .backend import Backend, BackendOptions, Health, WorkerBackendConfig


@dataclass(frozen=True, slots=True)
class PollResult:
    """The jobs claimed by one poll, and how many more are due."""

    claimed_jobs: tuple[Claim, ...]
    available_count: int


@dataclass(frozen=True, slots=True)
class WorkerExecutionResult:
    """The outcome of one attempt, and the error if it did not complete."""

    job_id: str
    outcome: Outcome
    duration: timedelta
    error: str | None = None

    @property
    def success(self) -> bool:
        """Whether the job completed and its result is stored."""
        return self.outcome is Outcome.COMPLETED


class WorkerBackend(Protocol):
    """The interface of `PollingBackend`."""

    @property
    def name(self) -> str:
        """The kind of backend, for messages."""
        ...

    @property
    def config(self) -> WorkerBackendConfig:
        """The configuration."""
        ...

    async def initialize(self) -> None:
        """Open the store. Does nothing if it is open."""
        ...

    async def shutdown(self) -> None:
        """Release running jobs and close the store."""
        ...

    async def poll_and_claim(self, limit: int | None = None) -> PollResult:
        """Claim up to `limit` due jobs; default: one for each free slot."""
        ...

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        """Run a claimed job and settle it. Does nothing for a claim that this backend lost or never had."""
        ...

    async def release_lock(self, job_id: str) -> bool:
        """Release a claimed job, which keeps the attempt. Return False if this backend has no claim on it."""
        ...

    async def handle_expired_locks(self) -> Sequence[Expired]:
        """Expire leases: their jobs become pending again, or fail."""
        ...

    async def health_check(self) -> Health:
        """Check whether the store answers."""
        ...


class PollingBackend(Backend):
    """A backend whose caller claims jobs by `poll_and_claim`, and runs each of them by `execute`.

    Nobody renews the lease of a claim before `execute`.

        backend = InMemoryBackend(job_registry=registry)
        backend.add_job(job_name="SendEmail", params={"to": "ada@example.com", "subject": "Hello"})
        poll = await backend.poll_and_claim()
        results = await asyncio.gather(*(backend.execute(claim) for claim in poll.claimed_jobs))
    """

    def __init__(
        self, *, database: Store | Database | str, job_registry: JobRegistry, **options: Unpack[BackendOptions]
    ) -> None:
        super().__init__(database=database, job_registry=job_registry, **options)
        self._polled: dict[str, Attempt] = {}
        """The attempts that `execute` did not start yet, by token."""

    async def poll_and_claim(self, limit: int | None = None) -> PollResult:
        """As in `WorkerBackend`."""
        execution = self.execution
        room = self.config.max_concurrency - len(self._polled) - len(execution.runner.attempts())
        attempts = await execution.claim(execution.request(limit=max(0, room) if limit is None else limit))
        self._polled.update((attempt.claim.token, attempt) for attempt in attempts)
        try:
            due = await self.store.count_due(execution.request(limit=1))
        except BaseException:
            await asyncio.shield(self._release(attempts))
            raise
        return PollResult(tuple(attempt.claim for attempt in attempts), due)

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        """As in `WorkerBackend`."""
        self.registry.find(job.job_name)
        attempt = self._polled.pop(job.token, None)
        if attempt is None:
            return WorkerExecutionResult(job.id, Outcome.LOST, timedelta(0), str(StaleClaimError(job.id)))
        began = self.clock.monotonic()
        outcome, error = await self.execution.run(attempt)
        return WorkerExecutionResult(job.id, outcome, timedelta(seconds=self.clock.monotonic() - began), error)

    async def release_lock(self, job_id: str) -> bool:
        """As in `WorkerBackend`."""
        for attempt in self.execution.runner.leases.leased():
            if attempt.claim.id == job_id and not attempt.is_over:
                attempt.stop(Stop.SHUTDOWN)
                return True
        waiting = next((attempt for attempt in self._polled.values() if attempt.claim.id == job_id), None)
        if waiting is None:
            return False
        del self._polled[waiting.claim.token]
        (status,) = await self.store.settle([Released(id=job_id, token=waiting.claim.token)])
        return status is not None

    async def handle_expired_locks(self) -> Sequence[Expired]:
        """As in `WorkerBackend`."""
        expired = await self.execution.chores.expire()
        gone = {job.id for job in expired}
        self._polled = {token: one for token, one in self._polled.items() if one.claim.id not in gone}
        return expired

    async def shutdown(self) -> None:
        """As in `WorkerBackend`."""
        if self._polled:
            await self._release(list(self._polled.values()))
        await super().shutdown()

    async def _release(self, attempts: Sequence[Attempt]) -> None:
        await self.execution.release([one for one in attempts if self._polled.pop(one.claim.token, None) is not None])
