"""What a handler may say instead of a result: not now, not at all, not again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..errors import InvalidOptionError, ServerJobsError

LONGEST_DELAY = timedelta(days=365_000)
"""What is due later than that is beyond the calendar."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Returned by a handler: run the job again after `delay`. This attempt does not count.

    Raises `InvalidOptionError` unless the delay is longer than zero, and at most 365,000 days.
    """

    delay: timedelta

    def __post_init__(self) -> None:
        _check_delay("the delay of Snooze", self.delay)
        if self.delay == timedelta(0):
            raise InvalidOptionError("the delay of Snooze must be longer than zero")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Returned by a handler: the job is not to be done. It becomes `cancelled`, with `reason` as its error."""

    reason: str


class DoNotRetryError(ServerJobsError):
    """Raised by a handler: the job has failed, and another attempt would fail as well."""


class RetryAfterError(ServerJobsError):
    """Raised by a handler: the attempt has failed, and the next one, if any is left, is due after `delay`.

    For servers that say when to come back, such as by HTTP's `Retry-After`; the job's own retry policy is not asked.
    Raises `InvalidOptionError` for a delay that is negative, or longer than 365,000 days.
    """

    def __init__(self, delay: timedelta, message: str = "") -> None:
        _check_delay("the delay of RetryAfterError", delay)
        super().__init__(message or f"to be tried again after {delay}")
        self.delay = delay


def _check_delay(name: str, delay: timedelta) -> None:
    given: object = delay  # callers without a type checker give anything
    if not isinstance(given, timedelta):
        raise InvalidOptionError(f"{name} must be a timedelta, not {given!r}")
    if not timedelta(0) <= given <= LONGEST_DELAY:
        most = LONGEST_DELAY.days
        raise InvalidOptionError(f"{name} must not be negative or longer than {most} days, and is {given}")
