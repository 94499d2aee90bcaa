"""Dates, times and durations of RFC 3339."""

from __future__ import annotations

import re
from datetime import date

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))")
_DURATION = re.compile(
    r"P(?=[0-9T])(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)?"
    r"(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?)"
)


def is_date(text: str) -> bool:
    """Return whether a text is a full-date of RFC 3339, from year 1 to 9999."""
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_date_time(text: str) -> bool:
    """Return whether a text is a date-time of RFC 3339, from year 1 to 9999.

    It needs an offset. A leap second is valid at 23:59:60 UTC only.
    """
    return text[10:11] in ("T", "t") and is_date(text[:10]) and is_time(text[11:])


def is_time(text: str) -> bool:
    """Return whether a text is a full-time of RFC 3339. A leap second is valid at 23:59:60 UTC only."""
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    hour, minute, second = (int(part) for part in match.groups()[:3])
    offset_hour, offset_minute = (int(part or "0") for part in match.groups()[4:])
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        return False
    offset = (offset_hour * 60 + offset_minute) * (-1 if match[4] == "-" else 1)
    return second < 60 or (hour * 60 + minute - offset) % (24 * 60) == 23 * 60 + 59


def is_duration(text: str) -> bool:
    """Return whether a text is a duration of RFC 3339, appendix A: `P1DT12H`, `PT30S`, `P2W`.

    Numbers are whole. Units between the first and the last cannot be omitted.
    """
    return _DURATION.fullmatch(text) is not None
