"""Lengths of time in ISO 8601."""

from __future__ import annotations

import re
from datetime import timedelta

from pydantic import JsonValue

from ..problems.problem import did_you_mean, shown
from ..problems.rules import DURATION_INVALID
from .option_error import OptionError

_DURATION = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,6})W|(?:([0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?)"
)
_AMOUNTS = (
    r"p?t?(?:([0-9]{1,6})w(?:eeks?)?)?(?:([0-9]{1,6})d(?:ays?)?)?t?(?:([0-9]{1,9})h(?:(?:ou)?rs?)?)?"
    r"(?:([0-9]{1,9})m(?:in(?:ute)?s?)?)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)s(?:ec(?:ond)?s?)?)?"
)
_LONGEST = timedelta(days=365)


def duration(value: timedelta) -> str:
    """Return a duration in ISO 8601, in days and smaller units: `P1DT12H`, `PT0.25S`."""
    seconds, fraction = value.seconds, value.microseconds
    hours, minutes = seconds // 3600, seconds // 60 % 60
    rest = f"{seconds % 60}.{fraction:06d}".rstrip("0").rstrip(".")
    time = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes) + f"{rest}S" * (rest != "0")
    return f"P{value.days}D{'T' * bool(time)}{time}" if value.days else f"PT{time or '0S'}"


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
