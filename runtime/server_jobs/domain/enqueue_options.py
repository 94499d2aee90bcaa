"""Options of a single enqueue call, checked at the call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypedDict

from ..errors import InvalidOptionError
from .options import HIGHEST_PRIORITY, LOWEST_PRIORITY, OnConflict
from .outcomes import LONGEST_DELAY
from .text_limits import LONGEST_CORRELATION_ID, LONGEST_UNIQUE_KEY, check_text


class EnqueueOptions(TypedDict, total=False):
    """Options of a call such as `later`. The spec provides the defaults."""

    scheduled_for: datetime | None
    """Time at which the job becomes due (aware). Default: now."""
    delay: timedelta | None
    """Time until the job becomes due, by the clock of the store. Excludes `scheduled_for`."""
    expires_after: timedelta | None
    """Time after the job becomes due in which an attempt may start. Later, the job is cancelled instead."""
    priority: int | None
    """-100 to 100. Higher numbers run first."""
    max_attempts: int | None
    """Most attempts of the job."""
    correlation_id: str | None
    """Id for log lines, inherited by jobs that the handler enqueues. At most 200 characters."""
    unique_key: str | None
    """Key that at most one unfinished job of this name may have. At most 500 characters."""
    on_conflict: OnConflict | Literal["keep", "replace", "reschedule"] | None
    """What happens to an unfinished job with the same unique key; see `OnConflict`."""


class EnqueueOption(NamedTuple):
    """The description of an option. HTTP, the command line, forms and TypeScript follow from it."""

    about: str
    """The option in one sentence or two, for people."""
    longest: int | None = None
    """Most characters of a text. The other options have types that each of these places expresses in its own way."""
    is_for_completion: bool = True
    """Whether a completion job may have it, which has neither a due time nor a unique key."""


ENQUEUE_OPTIONS: Mapping[str, EnqueueOption] = {
    "delay": EnqueueOption("Time until the job is due.", is_for_completion=False),
    "scheduled_for": EnqueueOption("Time at which the job is due.", is_for_completion=False),
    "expires_after": EnqueueOption(
        "Time after the job is due in which an attempt may start. Later, the job is cancelled.", is_for_completion=False
    ),
    "priority": EnqueueOption(f"{LOWEST_PRIORITY} to {HIGHEST_PRIORITY}. Higher priorities are claimed first."),
    "max_attempts": EnqueueOption("Attempts in all."),
    "unique_key": EnqueueOption(
        "Key that at most one unfinished job of this name may have.", LONGEST_UNIQUE_KEY, is_for_completion=False
    ),
    "on_conflict": EnqueueOption(
        "Whether an unfinished job with the same unique key stays, or this one takes its place.",
        is_for_completion=False,
    ),
    "correlation_id": EnqueueOption(
        "Id for log lines, which jobs that the handler enqueues inherit.", LONGEST_CORRELATION_ID
    ),
}
"""The options of `EnqueueOptions` by name."""
TEXT_OPTIONS: Mapping[str, int] = {
    name: one.longest for name, one in ENQUEUE_OPTIONS.items() if one.longest is not None
}
"""The options that are texts, and their most characters."""


def refuse_unknown(names: Iterable[str], options: type = EnqueueOptions) -> None:
    """Raise `InvalidOptionError` for the first option that `options` lack, with the most similar known one."""
    known = sorted(options.__annotations__)
    for name in names:
        if name not in known:
            from .suggestions import closest  # a process that only enqueues should not wait for this import

            close = closest(name, known)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise InvalidOptionError(f"there is no option {name!r}; {hint}")


def check_options(options: EnqueueOptions) -> None:
    """Raise `InvalidOptionError` for an unknown option, or a value that no store could keep.

    `JobOptions` checks the numbers, `expires_after` and `on_conflict`.
    """
    refuse_unknown(options)
    given: Mapping[str, object] = options
    for name, longest in TEXT_OPTIONS.items():
        if (text := given.get(name)) is not None:
            check_text(name, text, longest)
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
    _check_type("expires_after", options.get("expires_after"), timedelta)


def in_utc(given: datetime, name: str = "scheduled_for") -> datetime:
    """Return the time in UTC, with milliseconds, as every store keeps it. Raises `InvalidOptionError`."""
    if given.tzinfo is None:
        raise InvalidOptionError(
            f"{name} must have a time zone, and {given.isoformat()} has none; add tzinfo, such as UTC"
        )
    try:
        moment = given.astimezone(UTC)
    except OverflowError:
        raise InvalidOptionError(
            f"{name} must be in the years 1 to 9999 of UTC, and {given.isoformat()} is not"
        ) from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _check_type(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidOptionError(f"{name} must be a {kind.__name__}, not {value!r}")
