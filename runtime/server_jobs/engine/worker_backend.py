"""The interface of backends, with its arguments and results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from ..domain.record import Claim, Expired, Outcome
from ..registry import JobRegistry

DEFAULT_CONCURRENCY = 5
DEFAULT_LOCK_TIMEOUT = timedelta(seconds=60)
DEFAULT_POLL_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBackendConfig:
    """The configuration of a backend. `lock_timeout` is the lease of a claim, renewed while the handler runs."""

    database: object = field(repr=False)
    job_registry: JobRegistry
    max_concurrency: int = DEFAULT_CONCURRENCY
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL


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


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store answers, and its error if it does not."""

    ok: bool
    detail: str


class WorkerBackend(Protocol):
    """The interface of every backend."""

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
