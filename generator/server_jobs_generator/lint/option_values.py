"""Readers for the values of `x-job`. Each returns a Python value, or raises an error that lists the allowed values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from pydantic import JsonValue
from server_jobs.domain.cron import check_cron
from server_jobs.domain.options import BUILT_IN_PLACES, LONGEST_PERIOD, SHORTEST_PERIOD
from server_jobs.errors import ScheduleError

from ..problems.problem import did_you_mean, listed, nearest, shown
from ..problems.rules import CRON_INVALID, DURATION_INVALID, LISTED_TWICE, OPTION_VALUE, TIMEZONE_UNKNOWN, Rule
from .place_options import places

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DURATION = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,6})W|(?:([0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?)"
)
_AMOUNTS = (
    r"p?t?(?:([0-9]{1,6})w(?:eeks?)?)?(?:([0-9]{1,6})d(?:ays?)?)?t?(?:([0-9]{1,9})h(?:(?:ou)?rs?)?)?"
    r"(?:([0-9]{1,9})m(?:in(?:ute)?s?)?)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)s(?:ec(?:ond)?s?)?)?"
)
_LONGEST = timedelta(days=365)
_LONGEST_TEXT = 500
_MOST_INDEXES = 20

INDEX_EXAMPLE = 'such as "/params/customerId" or "/result/messageId"'


class OptionError(ValueError):
    """A value that an option cannot have; the message lists the allowed values."""

    def __init__(self, message: str, rule: Rule = OPTION_VALUE) -> None:
        self.rule = rule
        super().__init__(message)


class BreakSeverity(StrEnum):
    """The consequence of a breaking change."""

    ERROR = "error"
    WARNING = "warning"
    IGNORE = "ignore"


class Status(StrEnum):
    """Whether the job can be enqueued, or only queued jobs still run."""

    ACTIVE = "active"
    RETIRED = "retired"


def read_status(value: JsonValue) -> bool:
    """Return whether a job is retired."""
    return read_choice(Status)(value) == Status.RETIRED


def read_integer(lowest: int, highest: int) -> Callable[[JsonValue], int]:
    """Return a reader of whole numbers within a range."""

    def read(value: JsonValue) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise OptionError(f"must be a whole number from {lowest} to {highest}, not {shown(value)}")
        return value

    return read


def read_flag(value: JsonValue) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise OptionError(f"must be true or false, not {shown(value)}")
    return value


def read_choice(choices: type[StrEnum]) -> Callable[[JsonValue], StrEnum]:
    """Return a reader of the values of an enumeration."""

    def read(value: JsonValue) -> StrEnum:
        if not isinstance(value, str) or value not in list(choices):
            known = nearest(value, choices) if isinstance(value, str) else ""
            raise OptionError(f"must be {listed(choices)}, not {shown(value)}{known}")
        return choices(value)

    return read


def read_place(value: JsonValue) -> str:
    """Read the name of a place: one that is built in, or one that an installed plug-in brings."""
    if isinstance(value, str) and (value in BUILT_IN_PLACES or value in places()):
        return value
    known = nearest(value, places()) if isinstance(value, str) else ""
    raise OptionError(f"must be {listed(places())}, not {shown(value)}{known}")


def read_name(value: JsonValue) -> str:
    """Read the name of a queue or a schedule."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        rule = "1 to 63 of A-Z, a-z, 0-9, '_', '.' and '-', the first a letter or a digit"
        usable = (
            re.sub("[^A-Za-z0-9_.-]+", "-", value).strip("-_.") if isinstance(value, str) and value.isascii() else ""
        )
        meant = did_you_mean(usable if _NAME.fullmatch(usable) else None)
        raise OptionError(f"must be a name ({rule}), not {shown(value)}{meant}")
    return value


def read_indexes(value: JsonValue) -> tuple[str, ...]:
    """Read a list of different pointers. Raises `OptionError` for any other value."""
    if not isinstance(value, list) or len(value) > _MOST_INDEXES:
        raise OptionError(f"must be a list of up to {_MOST_INDEXES} JSON pointers {INDEX_EXAMPLE}, not {shown(value)}")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise OptionError(f"must list JSON pointers {INDEX_EXAMPLE}, not {shown(item)}")
        if item in value[:index]:
            raise OptionError(f"lists {shown(item)} twice", LISTED_TWICE)
    return tuple(str(item) for item in value)


def read_share(value: JsonValue) -> float:
    """Read a number from 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise OptionError(f"must be a number from 0 to 1, not {shown(value)}")
    return float(value)


def read_duration(value: JsonValue) -> timedelta:
    """Read an ISO 8601 duration with a fixed length, without months and years."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        weeks, days, hours, minutes = (int(part or "0") for part in match.groups()[:4])
        length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=float(match[5] or "0"))
        if length <= _LONGEST:
            return length
    rule = "an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days"
    meant = did_you_mean(_duration_meant(value) if match is None else None)
    raise OptionError(f"must be {rule}, not {shown(value)}{meant}", DURATION_INVALID)


def _duration_meant(value: JsonValue) -> str | None:
    """Return the ISO 8601 duration meant by a number of seconds, amounts with units, or letters in the wrong order."""
    text = "".join(str(value).lower().split()) if isinstance(value, str | int | float) else ""
    text = f"{text}s" if re.fullmatch(r"[0-9.]+", text) else text
    # M can mean months or minutes.
    amounts = re.fullmatch(_AMOUNTS, text) if not re.match("p[0-9]+m", text) else None
    if amounts is None:
        return None
    weeks, days, *times = (part or "" for part in amounts.groups())
    if weeks and (days or any(times)):
        weeks, days = "", str(7 * int(weeks) + int(days or 0))
    date = f"{weeks}W" if weeks else f"{days}D" if days else ""
    time = "".join(f"{amount}{unit}" for amount, unit in zip(times, "HMS", strict=True) if amount)
    meant = f"P{date}T{time}" if time else f"P{date}"
    return meant if _DURATION.fullmatch(meant) else None


def read_timeout(value: JsonValue) -> timedelta:
    """Read a duration longer than zero."""
    length = read_duration(value)
    if length == timedelta(0):
        raise OptionError("must be longer than zero; leave timeout out for no bound", DURATION_INVALID)
    return length


def read_expiry(value: JsonValue) -> timedelta:
    """Read a duration of at least a millisecond."""
    length = read_duration(value)
    if length < SHORTEST_PERIOD:
        message = f"must be at least PT0.001S, not {shown(value)}; leave expiresAfter out for no bound"
        raise OptionError(message, DURATION_INVALID)
    return length


def read_period(value: JsonValue) -> timedelta:
    """Read the period of a rate limit."""
    length = read_duration(value)
    if not SHORTEST_PERIOD <= length <= LONGEST_PERIOD:
        message = f"must be a duration from PT0.001S to P{LONGEST_PERIOD.days}D, not {shown(value)}"
        raise OptionError(message, DURATION_INVALID)
    return length


def read_cron(value: JsonValue) -> str:
    """Read a cron expression of five fields that fires at some time. Return it with single spaces."""
    if not isinstance(value, str):
        raise OptionError(f'must be a cron expression such as "0 9 * * MON", not {shown(value)}', CRON_INVALID)
    if len(value) > _LONGEST_TEXT:
        raise OptionError(f"a cron expression has at most {_LONGEST_TEXT} characters, not {shown(value)}", CRON_INVALID)
    return " ".join(_checked(value, value, "UTC", CRON_INVALID).split())


def read_timezone(value: JsonValue) -> str:
    """Read the name of a time zone in the IANA database."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise OptionError(f'must be an IANA time zone such as "Europe/Berlin", not {shown(value)}', TIMEZONE_UNKNOWN)
    return _checked(value, "0 0 * * *", value, TIMEZONE_UNKNOWN)


def _checked(value: str, cron: str, timezone: str, rule: Rule) -> str:
    try:
        check_cron(cron, timezone)
    except ScheduleError as error:
        raise OptionError(str(error), rule) from None
    return value
