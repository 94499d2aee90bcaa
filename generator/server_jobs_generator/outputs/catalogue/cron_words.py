"""The usual cron expressions in words; the others speak for themselves."""

from __future__ import annotations

import re

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def cron_words(expression: str) -> str | None:
    """When that is; None for what takes more words than it is worth."""
    minute, hour, day, month, weekday = expression.upper().split()
    if (day, month) != ("*", "*"):
        if re.fullmatch(r"\d+", day) and (month, weekday) == ("*", "*") and (at := _time(minute, hour)):
            return f"on day {int(day)} of every month at {at}"
        return None
    if weekday == "*" and hour == "*":
        step = re.fullmatch(r"\*/(\d+)", minute)
        if minute == "*" or (step and step[1] == "1"):
            return "every minute"
        # A step that does not divide the hour begins anew with each.
        if step and 60 % int(step[1]) == 0:
            return f"every {int(step[1])} minutes"
        return f"every hour, {int(minute)} minutes past" if re.fullmatch(r"\d+", minute) else None
    at = _time(minute, hour)
    if at is None:
        return None
    if weekday == "*":
        return f"every day at {at}"
    if weekday in ("1-5", "MON-FRI"):
        return f"Monday to Friday at {at}"
    name = _day(weekday)
    return f"every {name} at {at}" if name else None


def _time(minute: str, hour: str) -> str | None:
    is_plain = re.fullmatch(r"\d+", minute) and re.fullmatch(r"\d+", hour)
    return f"{int(hour):02}:{int(minute):02}" if is_plain else None


def _day(weekday: str) -> str | None:
    if weekday in _SHORT:
        return _DAYS[_SHORT.index(weekday)]
    return _DAYS[int(weekday)] if re.fullmatch("[0-7]", weekday) else None
