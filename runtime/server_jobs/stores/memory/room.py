"""Free capacity under limits, for claims from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from ...domain.record import JobRecord, KnownJob

# By job name and rate key. Within a name, the key with the latest start comes last.
Starts = dict[str, dict[str, list[datetime]]]


class Room:
    """The free capacity under the limits of the known jobs. `starts` has the starts of jobs with a rate."""

    def __init__(self, known: Iterable[KnownJob], running: Iterable[JobRecord], starts: Starts, now: datetime) -> None:
        limited = [job for job in known if job.is_limited]
        self._concurrency = {job.name: job.concurrency.limit for job in limited if job.concurrency is not None}
        self._rates = {job.name: job.rate for job in limited if job.rate is not None}
        self._running = Counter(map(_concurrency_key, running)) if self._concurrency else Counter()
        self._starts = starts
        self._taken: Counter[tuple[str, str]] = Counter()
        self._now = now

    def is_limited(self, record: JobRecord) -> bool:
        """Return whether the job has a limit."""
        return record.job_name in self._concurrency or record.job_name in self._rates

    def is_left_for(self, record: JobRecord) -> bool:
        """Whether no limit blocks this job."""
        concurrency, rate = self._concurrency.get(record.job_name), self._rates.get(record.job_name)
        if concurrency is not None and self._running[_concurrency_key(record)] >= concurrency:
            return False
        return rate is None or len(self._recent(record)) + self._taken[_rate_key(record)] < rate.limit

    def take(self, record: JobRecord) -> None:
        """Count this job for the rest of the claim."""
        self._running[_concurrency_key(record)] += 1
        self._taken[_rate_key(record)] += 1

    def start(self, record: JobRecord) -> None:
        """Note the start of a job that is claimed, for later claims."""
        if record.job_name in self._rates:
            self._taken[_rate_key(record)] -= 1
            recent = self._recent(record)
            starts = self._starts.setdefault(record.job_name, {})
            starts.pop(record.rate_key or "", None)
            starts[record.rate_key or ""] = [*recent, self._now]
            self._forget(record.job_name, starts)

    def _recent(self, record: JobRecord) -> list[datetime]:
        """The starts within the period that ends now, both of its ends included."""
        since = self._now - self._rates[record.job_name].per
        starts = self._starts.get(record.job_name, {})
        return [start for start in starts.get(record.rate_key or "", ()) if start >= since]

    def _forget(self, job_name: str, starts: dict[str, list[datetime]]) -> None:
        """Drop the keys without a start in the period; they come first."""
        since = self._now - self._rates[job_name].per
        while starts[oldest := next(iter(starts))][-1] < since:
            del starts[oldest]


def _concurrency_key(record: JobRecord) -> tuple[str, str]:
    return record.job_name, record.concurrency_key or ""


def _rate_key(record: JobRecord) -> tuple[str, str]:
    return record.job_name, record.rate_key or ""
