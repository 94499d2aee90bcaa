"""When a failed attempt runs again: backoff with jitter, as a pure function of the attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from ..errors import InvalidOptionError

_LONGEST = timedelta(days=365)


class Backoff(StrEnum):
    """How the delay grows: doubling, by equal steps, or not at all."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The delay before attempt n + 1.

    `initial` is the delay after the first failure, `maximum` caps the growth, and `jitter` is the share (0 to 1) that
    is added at random on top: never earlier than asked, up to that share later, so that jobs which failed together do
    not come back together.
    """

    backoff: Backoff = Backoff.EXPONENTIAL
    initial: timedelta = timedelta(seconds=2)
    maximum: timedelta = timedelta(minutes=10)
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.initial <= self.maximum <= _LONGEST:
            raise InvalidOptionError(
                "retry delays must be 0 <= initial <= maximum <= 365 days, "
                f"not initial={self.initial}, maximum={self.maximum}"
            )
        if not 0 <= self.jitter <= 1:
            raise InvalidOptionError(f"retry jitter must be between 0 and 1, not {self.jitter}")

    def delay(self, attempt: int, chance: float) -> timedelta:
        """The delay after failed attempt number `attempt` (from 1). `chance` is a random number in [0, 1)."""
        match self.backoff:
            case Backoff.EXPONENTIAL:
                # Compared before it is multiplied: a power of two soon leaves the range of a timedelta.
                factor = 1 << min(attempt - 1, 60)
                grown = self.initial * factor if self.initial <= self.maximum // factor else self.maximum
            case Backoff.LINEAR:
                grown = self.initial * attempt
            case Backoff.FIXED:
                grown = self.initial
        return min(grown, self.maximum) * (1 + self.jitter * chance)
