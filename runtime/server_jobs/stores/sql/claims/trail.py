"""Continue behind a large claim."""

from __future__ import annotations

from datetime import timedelta

from ....domain.clock import Clock
from ....domain.record import ClaimRequest, KnownJob

FULL_LOOK_INTERVAL = timedelta(milliseconds=250)
"""Time that large claims may continue within one group before a claim looks for more urgent jobs."""
_LEAST_FOLLOWED = 100

Runnable = tuple[tuple[KnownJob, ...], tuple[str, ...] | None]
"""The known jobs and the queues of a request."""


class Trail:
    """The last job of a large claim. For a short time, the next claim of the same request may start behind it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runnable: Runnable | None = None
        self._until = float("-inf")
        self._last = ""

    def lay(self, runnable: Runnable, began: float, last: str, *, count: int, request: ClaimRequest) -> None:
        """Lay a trail behind a claim from the head of its groups, if it was full and large."""
        if count == request.limit >= _LEAST_FOLLOWED:
            self._runnable, self._last, self._until = runnable, last, began + FULL_LOOK_INTERVAL.total_seconds()

    def take(self, runnable: Runnable) -> str | None:
        """Return the job behind which a claim of this request may start, and end the trail."""
        taken, self._runnable = self._runnable, None
        return self._last if taken == runnable and self._clock.monotonic() < self._until else None

    def continue_behind(self, runnable: Runnable, last: str) -> None:
        """Continue a taken trail behind the last job of the next claim."""
        self._runnable, self._last = runnable, last
