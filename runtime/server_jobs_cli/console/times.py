"""Times and durations as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in one unit: `5m ago`; `in 2h` for what is to come."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"{_in_one_unit(seconds)} ago" if seconds >= 0 else f"in {_in_one_unit(-seconds)}"


def length(duration: timedelta) -> str:
    """A duration in two units at most: `0.4ms`, `310ms`, `4.2s`, `3m 12s`, `2h 5m`."""
    seconds = duration.total_seconds()
    if 0 < seconds < 0.01:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
    if seconds < 3_600:
        return f"{int(seconds // 60)}m {int(seconds % 60)}s"
    return f"{int(seconds // 3_600)}h {int(seconds % 3_600 // 60)}m"


def local(moment: datetime) -> str:
    """On this machine's clock, with its offset: `2026-01-31 09:00:00 +0100`."""
    try:
        here = moment.astimezone()
    except OverflowError:  # it would be in the year 0 or 10,000 here
        here = moment
    return f"{here:%Y-%m-%d %H:%M:%S %z}"


def _in_one_unit(seconds: float) -> str:
    for size, name in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{name}"
    return "0s"
