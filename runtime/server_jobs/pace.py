"""How many jobs a worker claims before it has a free slot for them."""

from __future__ import annotations

_MOMENT = 0.05  # seconds that a prefetched claim should wait at most, as other workers could run the job
_LIMITED_MOMENT = 0.005  # the same for a job with limits, as a claim that waits uses up the limit
_MOST = 500


class Pace:
    """Prefetch as many jobs as the worker starts in a moment: hundreds of short ones, none that take long."""

    def __init__(self) -> None:
        self.ahead = 0
        """How many claims may wait for a slot."""
        self.limited_ahead = 0
        """How many claims of jobs with limits may wait for a slot."""
        self._begun = 0
        self._since: float | None = None
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
        if self._since is not None and now > self._since:
            rate = self._begun / (now - self._since)
            # At most twice the jobs that started: one short job says little about the pace.
            self.ahead = min(int(rate * _MOMENT), 2 * self._begun, _MOST)
        if self._busy_since is not None:
            self._busy, self._busy_since = self._busy + now - self._busy_since, now
        if self._busy > 0:
            # While the worker waits for a claim it could start jobs with limits at once.
            self.limited_ahead = min(int(self._begun / self._busy * _LIMITED_MOMENT), 2 * self._begun, _MOST)
        self._since, self._begun, self._busy = now, 0, 0.0

    def slow_down(self) -> None:
        """Stop the prefetch, as claims waited too long."""
        self.ahead = self.limited_ahead = 0
