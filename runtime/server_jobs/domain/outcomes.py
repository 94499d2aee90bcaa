"""Outcomes that a handler may return or raise instead of a result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..errors import InvalidOptionError, ServerJobsError

LONGEST_DELAY = timedelta(days=365_000)
"""Longest delay: a later time would leave the calendar."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Return this to run the job again after `delay`. The attempt does not count.

    Raises `InvalidOptionError` unless the delay is positive and at most 365,000 days.

        async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult | Snooze:
            if datetime.now(UTC).hour < 6:  # no mail at night
                return Snooze(timedelta(hours=1))
            return SendEmailResult(message_id=context.idempotency_key)
    """

    delay: timedelta

    def __post_init__(self) -> None:
        _check_delay("the delay of Snooze", self.delay)
        if self.delay == timedelta(0):
            raise InvalidOptionError("the delay of Snooze must be longer than zero")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Return this to cancel the job.

    It becomes `cancelled`, with `reason` as its error.

        async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult | Cancel:
            if params.to.endswith("@example.com"):
                return Cancel("example.com receives no mail")
            return SendEmailResult(message_id=context.idempotency_key)
    """

    reason: str


class DoNotRetryError(ServerJobsError):
    """Raise this if another attempt would fail too.

    The job fails at once.

        async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
            if params.to.endswith("@example.com"):
                raise DoNotRetryError("example.com receives no mail")
            return SendEmailResult(message_id=context.idempotency_key)
    """


class RetryAfterError(ServerJobsError):
    """Raise this to fail the attempt and run the next one, if any is left, after `delay`.

    For servers that name a time, such as HTTP's `Retry-After`. Overrides the retry policy of the job. Raises
    `InvalidOptionError` if the delay is negative or longer than 365,000 days.

        async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
            response = await send(params)
            if response.status == 429:
                raise RetryAfterError(timedelta(seconds=int(response.headers["Retry-After"])))
            return SendEmailResult(message_id=context.idempotency_key)
    """

    def __init__(self, delay: timedelta, message: str = "") -> None:
        _check_delay("the delay of RetryAfterError", delay)
        super().__init__(message or f"to be tried again after {delay}")
        self.delay = delay


def _check_delay(name: str, delay: timedelta) -> None:
    given: object = delay  # callers may not use a type checker
    if not isinstance(given, timedelta):
        raise InvalidOptionError(f"{name} must be a timedelta, not {given!r}")
    if not timedelta(0) <= given <= LONGEST_DELAY:
        most = LONGEST_DELAY.days
        raise InvalidOptionError(f"{name} must not be negative or longer than {most} days, and is {given}")
