"""Counts of outcomes in this process, until the store has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from ..domain.interfaces import StatisticsStore
from ..domain.record import Failed, JobStatus, Settlement
from ..domain.statistics import Counts, JobCounts

Kind = Literal["completed", "failed", "retried"]


class OutcomeCounts:
    """Counts outcomes by queue and job name. Costs one addition per attempt, and one write every few seconds."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, Kind]] = Counter()

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
        """Add the counts to the store. If that fails, keep them for the next time."""
        counts, self._counts = self._counts, Counter()
        try:
            await store.add_counts(_by_job(counts))
        except BaseException:
            self._counts.update(counts)
            raise


def _by_job(counts: Counter[tuple[str, str, Kind]]) -> Sequence[JobCounts]:
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
