"""How one job is queued, beyond what its spec says: checked where it is given."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from ..errors import InvalidOptionError
from .outcomes import LONGEST_DELAY
from .suggestions import near
from .text_limits import LONGEST_CORRELATION_ID, LONGEST_UNIQUE_KEY, check_text


class EnqueueOptions(TypedDict, total=False):
    """How one job is queued; what is left out is as the spec says."""

    scheduled_for: datetime | None
    """When it becomes due (aware); now by default."""
    delay: timedelta | None
    """Or how long from now, by the store's clock."""
    priority: int | None
    """-100 to 100, higher first."""
    max_attempts: int | None
    """How often it is tried at most."""
    correlation_id: str | None
    """Carried to log lines and to jobs enqueued by the handler; inside a handler, that of the running job.
    At most 200 characters."""
    unique_key: str | None
    """At most one unfinished job of this name has it. At most 500 characters."""


def refuse_unknown(names: Iterable[str]) -> None:
    """Raise `InvalidOptionError` for the first name that is no option, with the nearest one that is."""
    known = sorted(EnqueueOptions.__annotations__)
    for name in names:
        if name not in known:
            close = near(name, known)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise InvalidOptionError(f"there is no option {name!r}; {hint}")


def check_options(options: EnqueueOptions) -> None:
    """Raise `InvalidOptionError` for an option there is not, or one that no store could keep.

    The numbers are left to `JobOptions`, which they replace.
    """
    refuse_unknown(options)
    correlation_id, unique_key = options.get("correlation_id"), options.get("unique_key")
    if correlation_id is not None:
        check_text("correlation_id", correlation_id, LONGEST_CORRELATION_ID)
    if unique_key is not None:
        check_text("unique_key", unique_key, LONGEST_UNIQUE_KEY)
    scheduled_for, delay = options.get("scheduled_for"), options.get("delay")
    if scheduled_for is not None and delay is not None:
        raise InvalidOptionError("give either scheduled_for or delay, not both")
    _check_type("scheduled_for", scheduled_for, datetime)
    if scheduled_for is not None:
        in_utc(scheduled_for)
    _check_type("delay", delay, timedelta)
    if delay is not None and delay < timedelta(0):
        raise InvalidOptionError(f"delay must not be negative, and is {delay}")
    if delay is not None and delay > LONGEST_DELAY:
        raise InvalidOptionError(f"delay must be at most {LONGEST_DELAY.days} days, and is {delay}")


def in_utc(scheduled_for: datetime) -> datetime:
    """That moment as every store keeps it: in UTC, to the millisecond. Raises `InvalidOptionError`."""
    if scheduled_for.tzinfo is None:
        raise InvalidOptionError(
            f"scheduled_for must have a time zone, and {scheduled_for.isoformat()} has none; add tzinfo, such as UTC"
        )
    try:
        moment = scheduled_for.astimezone(UTC)
    except OverflowError:
        raise InvalidOptionError(
            f"scheduled_for must be in the years 1 to 9999 of UTC, and {scheduled_for.isoformat()} is not"
        ) from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _check_type(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidOptionError(f"{name} must be a {kind.__name__}, not {value!r}")
