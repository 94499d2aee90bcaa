"""The history of jobs and workers: attempts that did not complete, and the workers that are alive or died."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .record import Outcome

MAX_TRACEBACK_BYTES = 16 * 1024
"""Longest stored traceback, in bytes of UTF-8."""

ATTEMPTS_KEPT = 100
"""How many attempts of one job are kept, the newest. A job may snooze without end."""

MOST_AHEAD = 10_000
MOST_HOLDERS = 10
MOST_HELD = 100

WORKER_RETENTION = timedelta(days=7)
"""How long a worker that died stays in the table of workers."""

TICK_REPORT_INTERVAL = timedelta(minutes=5)
"""Ticks report at most once in this time, because an idle tick should only read."""

TICK_LEASE = timedelta(hours=1)
"""A tick counts as dead after twice the time between its last two reports, and at the earliest after this time."""


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
class WorkerReport:
    """The report of a long-lived worker, with each renewal of its leases, or of a tick.

    `pid` None means a tick: a worker that works in rounds, each of them a process or an invocation. `queues` None means
    every queue. `version` is the version of server-jobs. `known` has the jobs that it can run, as pairs of name and
    spec version.
    """

    id: str
    host: str
    pid: int | None
    queues: tuple[str, ...] | None
    concurrency: int
    version: str
    known: tuple[tuple[str, int], ...]

    @property
    def is_tick(self) -> bool:
        """Whether it works in rounds. No claim has its id, so it holds no jobs."""
        return self.pid is None


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
