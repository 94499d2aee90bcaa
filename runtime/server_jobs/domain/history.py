"""The history of jobs and workers: attempts that did not complete, and the workers that are alive or died."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .record import Outcome
from .record.reports import WorkerReport

ATTEMPTS_KEPT = 100
"""How many attempts of one job are kept, the newest. A job may snooze without end."""

MOST_AHEAD = 10_000
MOST_HOLDERS = 10
MOST_HELD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """An attempt that did not complete. Times are in UTC.

    `attempt` counts from 1. `outcome` is never `COMPLETED` or `LOST`. `error` is the text that the job got, and
    `error_class` the name of the exception. `traceback` has at most 16 KiB, without redacted params. `worker_id` is
    None if no long-lived worker ran it.
    """

    job_id: str
    attempt: int
    outcome: Outcome
    error: str | None
    error_class: str | None
    traceback: str | None
    worker_id: str | None
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockers:
    """The obstacles before a pending job, at the time `now` of the store.

    `ahead` counts due jobs of its queue that are claimed first, up to `MOST_AHEAD`. `holders` are running jobs that use
    up its concurrency limit, or empty while the limit has room. `rate_free_at` is the time at which its rate allows the
    next start, or None if it does now. `replaced` is the running job that it follows, or None.
    """

    now: datetime
    ahead: int
    holders: tuple[str, ...]
    rate_free_at: datetime | None
    replaced: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A stored worker or tick. Times are in UTC. `is_alive` is false after a whole lease without a report."""

    report: WorkerReport
    started_at: datetime
    last_seen_at: datetime
    is_alive: bool
    running: int
    """Number of jobs that are running under a claim of this worker."""

    def can_run(self, job_name: str, version: int, queue: str) -> bool:
        """Whether the worker is alive, claims from this queue, and knows this version of the job."""
        report = self.report
        return (
            self.is_alive and (report.queues is None or queue in report.queues) and (job_name, version) in report.known
        )
