"""Numbers about queues, jobs and batches, for metrics, pages and callers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from .record.reports import Counts

ENQUEUE_WINDOW = timedelta(minutes=1)
"""How far back enqueued jobs are counted."""

MOST_COUNTED = 10_000
"""How far a page counts the jobs of a queue, so that it is fast with any number of them.

The metrics and the status count failed jobs as far.
"""

MOST_OF_GROUP = 1_000
"""How far a page counts the jobs of a group of failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The jobs of one queue and name, at the time of the read.

    `due` and `scheduled` are pending, `due` of them now. `oldest_due_id` has been due for the longest time, since
    `oldest_due_at`. `failed` includes `parked`. `versions` has the pending jobs by spec version, as pairs with their
    count.
    """

    queue: str
    job_name: str
    due: int = 0
    oldest_due_at: datetime | None = None
    oldest_due_id: str | None = None
    scheduled: int = 0
    running: int = 0
    failed: int = 0
    parked: int = 0
    versions: tuple[tuple[int, int], ...] = ()


class MinuteCounts(NamedTuple):
    """The outcomes that were reported in the minute that begins at `minute`. None: since the beginning."""

    minute: datetime | None
    queue: str
    job_name: str
    counts: Counts


@dataclass(frozen=True, slots=True, order=True)
class EnqueuedCount:
    """The jobs of one queue and name that were enqueued within `ENQUEUE_WINDOW`."""

    queue: str
    job_name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """The failed jobs of one name with the same class of error. `error` is the error of the newest job."""

    job_name: str
    error_class: str | None
    count: int
    newest_id: str
    error: str | None
    failed_at: datetime | None


def at_most(count: int, most: int | None) -> int:
    """Return a count up to its bound."""
    return count if most is None else min(count, most)


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The number of jobs of a batch in each status, without its completion job. Deleted jobs do not count."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All jobs."""
        return self.unfinished + self.finished

    @property
    def unfinished(self) -> int:
        """Pending and running jobs."""
        return self.pending + self.running

    @property
    def finished(self) -> int:
        """Completed, failed and cancelled jobs."""
        return self.completed + self.failed + self.cancelled

    @property
    def percent(self) -> int:
        """The share of finished jobs, 0 to 100. It is 100 only if all have finished."""
        return 100 * self.finished // self.total if self.total else 100
