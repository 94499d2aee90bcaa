"""Clocks that tests control."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from ..domain.clock import SystemClock


class FakeClock:
    """A clock that only `advance` moves.

    Sleepers wake when their time is reached.

        clock = FakeClock()
        backend = InMemoryBackend(job_registry=registry, clock=clock)
        email = SendEmailParams(to="ada@example.com", subject="Hello")
        handle = await SendEmail.using(backend).later(email, delay=timedelta(hours=1))
        assert (await tick(backend)).completed == 0
        clock.advance(timedelta(hours=1))
        assert (await tick(backend)).completed == 1
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, wake))
        await wake

    def advance(self, duration: timedelta) -> None:
        """Advance the time, and wake the sleepers whose time is reached."""
        self._now += duration
        self._elapsed += duration.total_seconds()
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._elapsed]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._elapsed]
        for _, wake in due:
            if not wake.done():
                wake.set_result(None)


class ShiftedClock(SystemClock):
    """The time of the system, plus all durations of `advance`. It follows libraries that freeze or move the time."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._ahead

    def advance(self, duration: timedelta) -> None:
        """Advance the time."""
        self._ahead += duration
