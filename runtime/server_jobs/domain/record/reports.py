"""Reports of workers: about themselves, and the outcomes of their attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

COUNT_RETENTION = timedelta(hours=25)
"""How long the counts of a minute are kept. The totals stay."""

WORKER_RETENTION = timedelta(days=7)
"""How long a worker that died stays in the table of workers."""

TICK_REPORT_INTERVAL = timedelta(minutes=5)
"""Ticks report at most once in this time, because an idle tick should only read."""

TICK_LEASE = timedelta(hours=1)
"""A tick counts as dead after twice the time between its last two reports, and at the earliest after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker reports about itself to the database, each time it renews its leases.

    Ticks report too, as one worker; their `pid` is None. `queues` is None for every queue. `version` is the version of
    server-jobs. `known` has the jobs that the worker can run, as pairs of name and spec version.
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


class Counts(NamedTuple):
    """Outcomes of attempts: `completed`, `failed` for good, or `retried` after a failure."""

    completed: int = 0
    failed: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class JobCounts:
    """New outcomes of the jobs of one queue and name."""

    queue: str
    job_name: str
    counts: Counts
