"""How many jobs a worker claims ahead of those it can run at once: as many as it begins in a moment."""

from __future__ import annotations

_MOMENT = 0.05  # seconds: what is claimed ahead should not wait longer, for other workers could run it
_MOST = 500


class Pace:
    """Short jobs are claimed by the hundred, so that a claim costs little per job; slow ones are not claimed ahead."""

    def __init__(self) -> None:
        self.ahead = 0
        """How many claims may wait for a free slot."""
        self._begun = 0
        self._since: float | None = None

    def note_begun(self) -> None:
        """A claimed job was begun."""
        self._begun += 1

    def note_claimed(self, now: float) -> None:
        """A claim was answered at that monotonic moment."""
        if self._since is not None and now > self._since:
            begun_in_a_moment = int(self._begun / (now - self._since) * _MOMENT)
            # No more than twice what was begun: the pace of one short job says little.
            self.ahead = min(begun_in_a_moment, 2 * self._begun, _MOST)
        self._since, self._begun = now, 0

    def slow_down(self) -> None:
        """What was claimed ahead waited too long."""
        self.ahead = 0
