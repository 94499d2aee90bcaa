"""A simulated machine: a process with its own clock, which can be frozen, resumed and lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from .virtual_loop import Delivery, VirtualLoop, current_owner

T = TypeVar("T")

START = datetime(2026, 3, 29, 0, 59, 40, tzinfo=UTC)
"""The start of simulations: shortly before a slot of every schedule."""


class Machine:
    """Its tasks run, freeze and die together. It is the clock of its programs: monotonic, and wrong by `skew`."""

    def __init__(self, name: str, loop: VirtualLoop, *, skew: timedelta = timedelta(0)) -> None:
        self.name = name
        self.is_frozen = False
        self.is_lost = False
        self.held: list[Delivery] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.was_frozen_at = float("-inf")
        """The last moment at which it was frozen or cut off from the store. Since then it has been healthy."""
        self.skew = skew
        self._loop = loop
        self._suspended = 0.0

    def start(self, program: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run a program on this machine."""
        context = copy_context()
        context.run(current_owner.set, self)
        return self._loop.create_task(program, context=context)

    async def freeze(self, duration: float, *, is_suspended: bool) -> None:
        """Freeze the machine for a while. With `is_suspended`, its monotonic clock stands still too."""
        self.is_frozen = True
        await asyncio.sleep(duration)
        self.was_frozen_at = self._loop.time()
        if self.is_lost:
            return
        if is_suspended:
            self._suspended += duration
        self._loop.thaw(self)

    def deliver(self, call: Callable[[], object]) -> None:
        """Make this call on the machine as soon as it is not frozen."""
        context = copy_context()
        context.run(current_owner.set, self)
        self._loop.call_soon(call, context=context)

    def lose(self) -> None:
        """Kill the machine: its programs never run again."""
        self.is_frozen = self.is_lost = True

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time()) + self.skew

    def monotonic(self) -> float:
        return self._loop.time() - self._suspended

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class StoreClock:
    """The clock of the database, in whole milliseconds. `skew` is how far it was set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.skew = timedelta(0)
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(milliseconds=int(self._loop.time() * 1000)) + self.skew

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
