"""The interface of every backend, and the values that go in and out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ..domain.record import Claim, Expired, Outcome
from ..registry import JobRegistry

DEFAULT_CONCURRENCY = 5
DEFAULT_LOCK_TIMEOUT = timedelta(seconds=60)
DEFAULT_POLL_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBackendConfig:
    """What a backend was made of. `lock_timeout` is the lease of a claim, renewed while the handler runs."""

    database: object
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
    """How one attempt ended, and why it did not complete."""

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
    """Whether the store answers, and what it said if not."""

    ok: bool
    detail: str


class WorkerBackend(Protocol):
    """The interface of every backend."""

    @property
    def name(self) -> str:
        """What kind of backend it is."""
        ...

    @property
    def config(self) -> WorkerBackendConfig:
        """What it was made of."""
        ...

    async def initialize(self) -> None:
        """Open the store. Harmless when it is open."""
        ...

    async def shutdown(self) -> None:
        """Give running jobs back and close the store."""
        ...

    async def poll_and_claim(self, limit: int | None = None) -> PollResult:
        """Claim due jobs: `limit`, or as many as may run besides those that are claimed or running here."""
        ...

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        """Run a claimed job and settle it. A claim that this backend does not hold (any more) is not run."""
        ...

    async def release_lock(self, job_id: str) -> bool:
        """Give a claimed job back without counting the attempt; False if this backend does not hold it."""
        ...

    async def handle_expired_locks(self) -> Sequence[Expired]:
        """Take jobs away from workers whose lease ran out."""
        ...

    async def health_check(self) -> Health:
        """Ask the store."""
        ...
