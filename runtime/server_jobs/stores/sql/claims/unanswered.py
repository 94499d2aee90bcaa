"""Claims whose answer was lost."""

from __future__ import annotations

from datetime import timedelta

from ....domain.clock import Clock

LONGEST_CLAIM = timedelta(seconds=10)
"""Longest time that a server continues with a claim after its connection was lost."""


class Unanswered:
    """Claims whose answer was lost. Their jobs may run nowhere.

    Each is released twice: at the next claim, and again when the server must have ended it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches: list[tuple[float, str]] = []
        self._due: list[tuple[float, str]] = []

    def add(self, batch: str) -> None:
        """Note a claim that failed."""
        now = self._clock.monotonic()
        self._batches += [(now, batch), (now + LONGEST_CLAIM.total_seconds(), batch)]

    def due(self) -> list[str]:
        """Return the batches of the claims to release now."""
        if not self._batches:
            return []
        now = self._clock.monotonic()
        self._due = [one for one in self._batches if one[0] <= now]
        return [batch for _, batch in self._due]

    def remove_due(self) -> None:
        """Note that these are released."""
        self._batches = [one for one in self._batches if one not in self._due]
