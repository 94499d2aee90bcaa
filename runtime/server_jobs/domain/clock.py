"""The clock interface, so that tests can control time, and durations as text. Stored times come from the store."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

# The time of SQLite in milliseconds since the epoch, as the tables store it. Not `unixepoch('subsec')`, which is NULL
# before SQLite 3.42. A Julian day has room for whole milliseconds, once rounded.
SQLITE_NOW = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
# The time of PostgreSQL, constant within one statement.
POSTGRES_NOW = "statement_timestamp()"

_MILLISECOND = timedelta(milliseconds=1)
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


class Clock(Protocol):
    """The time functions of the engine."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never decrease. Only differences have a meaning."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait this many seconds; zero gives other tasks a turn."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    # No methods of their own: each job uses this clock several times.
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)


def exact_length(duration: timedelta) -> str:
    """Return a duration as options take it, in whole milliseconds: `300ms`, `5s`, `1h30m`, `7d`."""
    left, text = round(duration / _MILLISECOND), ""
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def length(duration: timedelta) -> str:
    """Return a duration in two units at most: `0.4ms`, `310ms`, `4.2s`, `3m 12s`, `2h 5m`."""
    seconds = duration.total_seconds()
    if 0 < seconds < 0.01:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
    if seconds < 3_600:
        return f"{int(seconds // 60)}m {int(seconds % 60)}s"
    return f"{int(seconds // 3_600)}h {int(seconds % 3_600 // 60)}m"
