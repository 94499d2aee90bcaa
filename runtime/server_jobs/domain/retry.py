"""The retry policy: backoff with jitter, as a pure function of the attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from ..errors import InvalidOptionError

_LONGEST = timedelta(days=365)


class Backoff(StrEnum):
    """The growth of the delay: doubling, in equal steps, or none."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a job waits between a failed attempt and the next one.

    `initial` is the delay after the first failure, and `maximum` limits the growth. `jitter` (0 to 1) is the largest
    share of the delay that is added at random, so that jobs that failed together do not retry together.
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
        """Return the delay after failed attempt number `attempt` (from 1). `chance` is a random number in [0, 1)."""
        match self.backoff:
            case Backoff.EXPONENTIAL:
                # Compare before multiplying: a power of two soon leaves the range of a timedelta.
                factor = 1 << min(attempt - 1, 60)
                grown = self.initial * factor if self.initial <= self.maximum // factor else self.maximum
            case Backoff.LINEAR:
                grown = self.initial * attempt
            case Backoff.FIXED:
                grown = self.initial
        return min(grown, self.maximum) * (1 + self.jitter * chance)
