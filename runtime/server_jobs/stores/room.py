"""How many more jobs the limits of their names let a claim take, reckoned in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from ..record import JobRecord, KnownJob

Starts = dict[tuple[str, str], list[datetime]]


class Room:
    """The room under the limits of the known jobs, at one moment. `starts` holds the starts of jobs with a rate."""

    def __init__(self, known: Iterable[KnownJob], running: Iterable[JobRecord], starts: Starts, now: datetime) -> None:
        limited = [job for job in known if job.is_limited]
        self._concurrency = {job.name: job.concurrency.limit for job in limited if job.concurrency is not None}
        self._rates = {job.name: job.rate for job in limited if job.rate is not None}
        self._running = Counter(map(_concurrency_key, running)) if self._concurrency else Counter()
        self._starts = starts
        self._taken: Counter[tuple[str, str]] = Counter()
        self._now = now

    def is_left_for(self, record: JobRecord) -> bool:
        """Whether no limit holds this job back."""
        concurrency, rate = self._concurrency.get(record.job_name), self._rates.get(record.job_name)
        if concurrency is not None and self._running[_concurrency_key(record)] >= concurrency:
            return False
        return rate is None or len(self._recent(record)) + self._taken[_rate_key(record)] < rate.limit

    def take(self, record: JobRecord) -> None:
        """Leave less room for the jobs that follow in this claim."""
        self._running[_concurrency_key(record)] += 1
        self._taken[_rate_key(record)] += 1

    def start(self, record: JobRecord) -> None:
        """Note the start of a job that is claimed, for later claims."""
        if record.job_name in self._rates:
            self._taken[_rate_key(record)] -= 1
            self._starts[_rate_key(record)] = [*self._recent(record), self._now]

    def _recent(self, record: JobRecord) -> list[datetime]:
        """The starts within the period that ends now, both of its ends included."""
        since = self._now - self._rates[record.job_name].per
        return [start for start in self._starts.get(_rate_key(record), ()) if start >= since]


def _concurrency_key(record: JobRecord) -> tuple[str, str]:
    return record.job_name, record.concurrency_key or ""


def _rate_key(record: JobRecord) -> tuple[str, str]:
    return record.job_name, record.rate_key or ""
