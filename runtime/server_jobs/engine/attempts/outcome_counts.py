"""Counts of outcomes in this process. They are added to the counts in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from ...domain.interfaces import StatisticsStore
from ...domain.record import Failed, JobStatus, Settlement
from ...domain.statistics import Counts, JobCounts

Kind = Literal["completed", "failed", "retried"]
Key = tuple[str, str, Kind]


class OutcomeCounts:
    """Counts outcomes by queue and job name. Costs one addition per attempt, and one write every few seconds."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()
        self._stored: Counter[Key] = Counter()

    def totals(self) -> Mapping[Key, int]:
        """The outcomes since the start of this process, by queue, job name and kind. Any thread may call this."""
        return dict(self._counts)

    def note(self, queue: str, job_name: str, settlement: Settlement, status: JobStatus | None) -> None:
        """Count a stored outcome. Ignore a lost claim, a cancellation and a release."""
        if status is JobStatus.COMPLETED:
            self._counts[queue, job_name, "completed"] += 1
        elif isinstance(settlement, Failed):
            self.note_failure(queue, job_name, status)

    def note_failure(self, queue: str, job_name: str, status: JobStatus | None) -> None:
        """Count a failed attempt that left the job in this status."""
        if status is JobStatus.FAILED:
            self._counts[queue, job_name, "failed"] += 1
        elif status is JobStatus.PENDING:
            self._counts[queue, job_name, "retried"] += 1

    async def store(self, store: StatisticsStore) -> None:
        """Add the new counts to the store. If that fails, keep them for the next time."""
        new = self._counts - self._stored
        self._stored.update(new)
        try:
            await store.add_counts(_by_job(new))
        except BaseException:
            self._stored.subtract(new)
            raise


def _by_job(counts: Counter[Key]) -> Sequence[JobCounts]:
    jobs = sorted({(queue, job_name) for queue, job_name, _ in counts})
    return [
        JobCounts(
            queue,
            job_name,
            Counts(
                counts[queue, job_name, "completed"],
                counts[queue, job_name, "failed"],
                counts[queue, job_name, "retried"],
            ),
        )
        for queue, job_name in jobs
    ]
