"""The times to check for commits of other connections: soon after a write to the file, and not too often."""

from __future__ import annotations

# A commit becomes visible after the file was written, when it has reached the disk: after 0.1 ms, or much later on a
# slow disk.
_FIRST_PAUSE = 0.0001
_LONGEST_PAUSE = 0.1
_GROWTH = 1.4
# Gap between two wakes. It grows while wakes find no work for this process.
SHORTEST_GAP = 0.002
LONGEST_GAP = 0.02
_QUIET = 0.25


class CommitChecks:
    """Computes the time of the next check from the results of earlier checks. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.next: float | None = None
        self.gap = SHORTEST_GAP
        self._pause = _FIRST_PAUSE
        self._last_change = float("-inf")
        self._changes_then = -1

    @property
    def are_of_use(self) -> bool:
        """Whether recent wakes led to a write of this process."""
        return self.gap == SHORTEST_GAP

    def file_written(self, now: float) -> None:
        """Note a write to the file, possibly an own one: check now, and a few more times."""
        self._pause = _FIRST_PAUSE
        self.next = max(now, self._last_change + self.gap)

    def nothing_new(self, now: float) -> None:
        """Note that no other connection has committed yet. Check again later, a limited number of times."""
        self.next = now + self._pause if self._pause <= _LONGEST_PAUSE else None
        self._pause *= _GROWTH

    def committed(self, now: float, own_changes: int) -> None:
        """Note a commit of another connection. `own_changes` is the number of rows changed by this connection.

        Continue to check, because a third connection that wrote at the same time may commit only now.
        """
        was_of_use = own_changes != self._changes_then or now - self._last_change > _QUIET
        self.gap = SHORTEST_GAP if was_of_use else min(self.gap * 2, LONGEST_GAP)
        self._changes_then, self._last_change = own_changes, now
        self._pause = _FIRST_PAUSE
        self.next = now + self.gap
