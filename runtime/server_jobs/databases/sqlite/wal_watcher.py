"""When to look whether another connection has committed: soon after its file was written, never too often."""

from __future__ import annotations

# A commit can be seen a little after the file was written, when it has reached the disk: a tenth of a millisecond, or
# many on a slow disk.
_FIRST_PAUSE = 0.0001
_LONGEST_PAUSE = 0.1
_GROWTH = 1.4
# Between two wakes. Grows while they are of no use, because neighbours write what is not for this process.
SHORTEST_GAP = 0.002
LONGEST_GAP = 0.02
_QUIET = 0.25


class Looks:
    """Says at which moment to look next; told what was seen. Moments are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.next: float | None = None
        self.gap = SHORTEST_GAP
        self._pause = _FIRST_PAUSE
        self._last_change = float("-inf")
        self._changes_then = -1

    @property
    def are_of_use(self) -> bool:
        """Whether the wakes of late led to something."""
        return self.gap == SHORTEST_GAP

    def file_written(self, now: float) -> None:
        """Somebody, perhaps this connection, wrote to the file: look at once, and a few times more."""
        self._pause = _FIRST_PAUSE
        self.next = max(now, self._last_change + self.gap)

    def nothing_new(self, now: float) -> None:
        """No other connection has committed yet; look again later, and not for ever."""
        self.next = now + self._pause if self._pause <= _LONGEST_PAUSE else None
        self._pause *= _GROWTH

    def committed(self, now: float, own_changes: int) -> None:
        """Another connection has. `own_changes` counts the rows that this one has changed so far.

        Looking goes on, since one who wrote to the file together with that one may commit only now.
        """
        was_of_use = own_changes != self._changes_then or now - self._last_change > _QUIET
        self.gap = SHORTEST_GAP if was_of_use else min(self.gap * 2, LONGEST_GAP)
        self._changes_then, self._last_change = own_changes, now
        self._pause = _FIRST_PAUSE
        self.next = now + self.gap
