"""How attempts ended, counted."""

from __future__ import annotations

from dataclasses import dataclass

from server_jobs.domain.record import Outcome


@dataclass(slots=True)
class JobTally:
    """How many attempts ended in each way, and the seconds they took in all."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    snoozed: int = 0
    released: int = 0
    seconds: float = 0.0

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one attempt. A lost claim counts as a failed attempt."""
        self.seconds += seconds
        if outcome is Outcome.COMPLETED:  # first, as it is counted for nearly every job
            self.completed += 1
        elif outcome.is_failure:
            self.failed += 1
        elif outcome is Outcome.CANCELLED:
            self.cancelled += 1
        elif outcome is Outcome.SNOOZED:
            self.snoozed += 1
        else:
            self.released += 1

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "completed": self.completed,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "snoozed": self.snoozed,
            "released": self.released,
        }

    @property
    def mean_seconds(self) -> float:
        """How long an attempt took on average."""
        return self.seconds / max(1, sum(self.counts().values()))
