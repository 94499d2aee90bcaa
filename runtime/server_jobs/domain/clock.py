"""Time as a port, so that tests can hold it still. Times that are stored come from the store, not from here."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

# The clock of SQLite, and of D1, as their tables keep times: in milliseconds since the epoch. Not
# `unixepoch('subsec')`, which is NULL before SQLite 3.42. A Julian day has room for whole milliseconds, once rounded.
SQLITE_NOW = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
# The clock of PostgreSQL: one moment for a whole statement.
POSTGRES_NOW = "statement_timestamp()"


class Clock(Protocol):
    """What the engine needs of time."""

    def now(self) -> datetime:
        """The wall clock, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds; zero gives other tasks a turn."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
