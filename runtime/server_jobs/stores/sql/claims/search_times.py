"""When to search for jobs with limits."""

from __future__ import annotations

from dataclasses import dataclass

_LOOK_INTERVAL = 0.1  # seconds between searches for jobs with limits while claims are full
_REST = 20  # multiple of the duration of the search
_LONGEST_REST = 0.5


@dataclass(slots=True)
class SearchTimes:
    """The time of the next search for jobs with limits, for claims of one request."""

    had_all: bool = False
    """Whether the last claim got as many jobs with limits as it wanted."""
    look_at: float = float("-inf")
    """Time until which jobs with limits are assumed to be due."""
    skip_until: float = float("-inf")
    """Time until which none is assumed to be due."""
    rest_until: float = float("-inf")
    """Time until which all due jobs with limits are assumed to be blocked."""

    def may_skip(self, now: float) -> bool:
        """Return whether a claim can skip the search."""
        return now < max(self.rest_until, self.skip_until)

    def look_again(self) -> None:
        """Let the next claim look."""
        self.skip_until = float("-inf")

    def end_rest(self) -> None:
        """Note that a limit may allow more jobs."""
        self.rest_until = float("-inf")

    def note_claim(self, now: float, *, had_all: bool) -> None:
        """Assume for a while that more are due, if a claim got as many as it wanted."""
        self.had_all = had_all
        self.look_at = now + _LOOK_INTERVAL if had_all else float("-inf")

    def note_look(self, now: float, *, is_due: bool) -> None:
        """Skip the next searches if none is due."""
        self.skip_until = float("-inf") if is_due else now + _LOOK_INTERVAL

    def note_none_allowed(self, now: float, took: float) -> None:
        """Pause the search in proportion to its duration, because all due jobs are blocked."""
        self.rest_until = now + min(_REST * took, _LONGEST_REST)
