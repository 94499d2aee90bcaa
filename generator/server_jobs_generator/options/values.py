"""Read single values of `x-job` by their kind. `lint.option_reader` reads objects, lists and pointers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from pydantic import JsonValue
from server_jobs.domain.cron import check_cron
from server_jobs.domain.option_kinds import (
    Choice,
    Cron,
    Flag,
    Length,
    Name,
    PlaceName,
    Share,
    Switch,
    Text,
    Timezone,
    Whole,
)
from server_jobs.domain.options import BUILT_IN_PLACES
from server_jobs.errors import ScheduleError

from ..problems.problem import did_you_mean, listed, nearest, shown
from ..problems.rules import CRON_INVALID, DURATION_INVALID, LISTED_TWICE, TIMEZONE_UNKNOWN, Rule
from .durations import duration, read_duration
from .option_error import OptionError
from .places import places
from .table import ColumnPointers, Option

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LONGEST_TEXT = 500

INDEX_EXAMPLE = 'such as "/params/customerId" or "/result/messageId"'


def read_value(option: Option, value: JsonValue) -> object:
    """Return a value as the record keeps it. Raises `OptionError` if the option cannot have it."""
    match option.kind:
        case Whole(lowest=lowest, highest=highest):
            return _integer(value, lowest, highest)
        case Share():
            return _share(value)
        case Flag():
            return _flag(value)
        case Switch(off=off, on=on):
            return _word(value, (off, on)) == on
        case Choice(members=members):
            return members(_word(value, list(members)))
        case Name():
            return _name(value)
        case PlaceName():
            return _place_name(value)
        case Text(longest=longest):
            return _text(value, longest)
        case Length() as kind:
            return _length(value, option, kind)
        case Cron():
            return _cron(value)
        case Timezone():
            return _timezone(value)
        case ColumnPointers(most=most):
            return _column_pointers(value, most)
        case kind:
            raise TypeError(f"no single value has the kind {type(kind).__name__}")


def _integer(value: JsonValue, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise OptionError(f"must be a whole number from {lowest} to {highest}, not {shown(value)}")
    return value


def _share(value: JsonValue) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise OptionError(f"must be a number from 0 to 1, not {shown(value)}")
    return float(value)


def _flag(value: JsonValue) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"must be true or false, not {shown(value)}")
    return value


def _word(value: JsonValue, words: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in words:
        known = nearest(value, words) if isinstance(value, str) else ""
        raise OptionError(f"must be {listed(words)}, not {shown(value)}{known}")
    return value


def _name(value: JsonValue) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        rule = "1 to 63 of A-Z, a-z, 0-9, '_', '.' and '-', the first a letter or a digit"
        usable = (
            re.sub("[^A-Za-z0-9_.-]+", "-", value).strip("-_.") if isinstance(value, str) and value.isascii() else ""
        )
        meant = did_you_mean(usable if _NAME.fullmatch(usable) else None)
        raise OptionError(f"must be a name ({rule}), not {shown(value)}{meant}")
    return value


def _place_name(value: JsonValue) -> str:
    if isinstance(value, str) and (value in BUILT_IN_PLACES or value in places()):
        return value
    return _word(value, places())


def _text(value: JsonValue, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise OptionError(f"must be a text of at most {longest} characters, not {shown(value)}")
    return value


def _length(value: JsonValue, option: Option, kind: Length) -> timedelta:
    length, shortest, longest = read_duration(value), kind.shortest, kind.longest
    if shortest <= length and (longest is None or length <= longest):
        return length
    if longest is not None and (option.is_required or length > longest):
        message = f"must be a duration from {duration(shortest)} to {duration(longest)}, not {shown(value)}"
    elif shortest == timedelta.resolution:
        message = "must be longer than zero"
    else:
        message = f"must be at least {duration(shortest)}, not {shown(value)}"
    way_out = "" if option.is_required else f"; leave {option.key} out for no bound"
    raise OptionError(f"{message}{way_out}", DURATION_INVALID)


def _cron(value: JsonValue) -> str:
    """Read a cron expression of five fields that fires at some time. Return it with single spaces."""
    if not isinstance(value, str):
        raise OptionError(f'must be a cron expression such as "0 9 * * MON", not {shown(value)}', CRON_INVALID)
    if len(value) > _LONGEST_TEXT:
        raise OptionError(f"a cron expression has at most {_LONGEST_TEXT} characters, not {shown(value)}", CRON_INVALID)
    return " ".join(_checked(value, value, "UTC", CRON_INVALID).split())


def _timezone(value: JsonValue) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise OptionError(f'must be an IANA time zone such as "Europe/Berlin", not {shown(value)}', TIMEZONE_UNKNOWN)
    return _checked(value, "0 0 * * *", value, TIMEZONE_UNKNOWN)


def _checked(value: str, cron: str, timezone: str, rule: Rule) -> str:
    try:
        check_cron(cron, timezone)
    except ScheduleError as error:
        raise OptionError(str(error), rule) from None
    return value


def _column_pointers(value: JsonValue, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise OptionError(f"must be a list of up to {most} JSON pointers {INDEX_EXAMPLE}, not {shown(value)}")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise OptionError(f"must list JSON pointers {INDEX_EXAMPLE}, not {shown(item)}")
        if item in value[:index]:
            raise OptionError(f"lists {shown(item)} twice", LISTED_TWICE)
    return tuple(str(item) for item in value)
