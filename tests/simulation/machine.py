"""A simulated machine: a process with a clock of its own, which can be stopped, resumed and lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from .virtual_loop import Delivery, VirtualLoop, current_owner

T = TypeVar("T")

START = datetime(2026, 3, 29, 0, 59, 40, tzinfo=UTC)
"""When simulations begin: shortly before a slot of every schedule."""


class Machine:
    """Whose tasks run, freeze and die together. It is the clock of what runs on it: monotonic, and wrong by `skew`."""

    def __init__(self, name: str, loop: VirtualLoop, *, skew: timedelta = timedelta(0)) -> None:
        self.name = name
        self.is_frozen = False
        self.is_lost = False
        self.held: list[Delivery] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.was_frozen_at = float("-inf")
        """The last moment at which it was frozen, or cut off from the store: since then it has been well."""
        self.skew = skew
        self._loop = loop
        self._suspended = 0.0

    def start(self, program: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run a program on this machine."""
        context = copy_context()
        context.run(current_owner.set, self)
        return self._loop.create_task(program, context=context)

    async def freeze(self, duration: float, *, is_suspended: bool) -> None:
        """Stop the machine for a while. Suspended, its monotonic clock stands still too."""
        self.is_frozen = True
        await asyncio.sleep(duration)
        self.was_frozen_at = self._loop.time()
        if self.is_lost:
            return
        if is_suspended:
            self._suspended += duration
        self._loop.thaw(self)

    def deliver(self, call: Callable[[], object]) -> None:
        """Make this call on the machine, as soon as it is not frozen."""
        context = copy_context()
        context.run(current_owner.set, self)
        self._loop.call_soon(call, context=context)

    def lose(self) -> None:
        """Kill the machine: nothing on it ever runs again."""
        self.is_frozen = self.is_lost = True

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time()) + self.skew

    def monotonic(self) -> float:
        return self._loop.time() - self._suspended

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class StoreClock:
    """The clock of the database, in whole milliseconds as databases keep them. `skew` is how far it was set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.skew = timedelta(0)
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(milliseconds=int(self._loop.time() * 1000)) + self.skew

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
