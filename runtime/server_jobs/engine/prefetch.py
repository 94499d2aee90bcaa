"""The prefetch: how many jobs a worker claims before it has a free slot for them."""

from __future__ import annotations

_MOMENT = 0.05  # seconds that a prefetched claim should wait at most, as other workers could run the job
_LIMITED_MOMENT = 0.005  # the same for a job with limits, as a claim that waits uses up the limit
_MOST = 1000
_GROWTH = 4


class Prefetch:
    """Prefetch as many jobs as the worker starts in a moment: hundreds of short ones, none that take long.

    How long it waited for the claims does not count: the slower they are, the more of them are worth a prefetch.
    """

    def __init__(self) -> None:
        self.size = 0
        """How many claims may wait for a slot."""
        self.limited_size = 0
        """How many claims of jobs with limits may wait for a slot."""
        self._begun = 0
        self._busy = 0.0
        self._busy_since: float | None = None

    def note_begun(self) -> None:
        """Count a claimed job that starts."""
        self._begun += 1

    def note_busy(self, now: float) -> None:
        """Note that the first job runs."""
        self._busy_since = now

    def note_idle(self, now: float) -> None:
        """Note that no job runs any more."""
        if self._busy_since is not None:
            self._busy += now - self._busy_since
            self._busy_since = None

    def note_claimed(self, now: float) -> None:
        """Adjust to the jobs started since the last claim; `now` is the monotonic time of this claim's answer."""
        if self._busy_since is not None:
            self._busy, self._busy_since = self._busy + now - self._busy_since, now
        self.size = self._started_in(_MOMENT)
        self.limited_size = self._started_in(_LIMITED_MOMENT)
        self._begun, self._busy = 0, 0.0

    def slow_down(self) -> None:
        """Stop the prefetch, as claims waited too long."""
        self.size = self.limited_size = 0

    def _started_in(self, moment: float) -> int:
        """Return how many jobs start in that time: at most four times the jobs that started, as a few say little."""
        most = min(_GROWTH * self._begun, _MOST)
        return most if self._busy <= 0 else min(most, int(self._begun / self._busy * moment))
