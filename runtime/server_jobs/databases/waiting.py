"""Calls that wait for a connection of a pool, and when they give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..errors import DatabaseUnreachableError

WAIT_SECONDS = 7.0
"""Seconds that a call waits for a connection while the server gives no sign of life."""


@dataclass(slots=True, eq=False)
class _Waiter:
    began: float
    limit: asyncio.Timeout
    error: DatabaseUnreachableError | None = None


class WaitingCalls:
    """The calls that wait while others use all connections.

    They wait as long as the server works for the others. They give up `seconds` after its last sign of life, and
    together once it cannot be reached, instead of each of them trying it in turn.
    """

    def __init__(self, place: str, seconds: float) -> None:
        self._place = place
        self._seconds = seconds
        self._time = asyncio.get_running_loop().time
        self._waiters: dict[_Waiter, None] = {}  # the one that waits longest comes first
        self._alive = self._silent = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def limited(self, began: float) -> AsyncIterator[None]:
        """Limit the wait inside the block, for a call that began at this loop time.

        Raises `DatabaseUnreachableError`.
        """
        limit = asyncio.timeout(None)
        waiter = _Waiter(began, limit)
        try:
            async with limit:
                self._waiters[waiter] = None
                self._set_timer()
                yield
        except TimeoutError:
            if waiter.error is None:
                raise
            raise waiter.error from None
        finally:
            self._waiters.pop(waiter, None)
            self._set_timer()

    def note_life(self) -> None:
        """Note that the server has answered a call, or works on one."""
        if self._waiters:
            self._alive = self._time()

    def note_silence(self) -> None:
        """Note that the server did not answer a call: no sign of life prolongs the wait of the calls of this moment."""
        self._silent = self._time()
        if self._timer is not None:
            self._timer.cancel()
            self._tick()

    def give_up(self, error: DatabaseUnreachableError) -> None:
        """Let all waiting calls raise an error like this one."""
        for waiter in self._waiters:
            self._end(waiter, error)

    def overdue(self) -> DatabaseUnreachableError:
        """Return the error of a call that gives up."""
        return DatabaseUnreachableError(f"no connection to {self._place} within {self._seconds:g} s")

    def _end(self, waiter: _Waiter, error: DatabaseUnreachableError) -> None:
        if waiter.error is None:
            waiter.error = type(error)(*error.args)  # each caller adds its own traceback
            waiter.limit.reschedule(self._time())

    def _due(self, waiter: _Waiter) -> float:
        prolonged = waiter.began if waiter.began <= self._silent else max(waiter.began, self._alive)
        return prolonged + self._seconds

    def _set_timer(self) -> None:
        if not self._waiters and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._waiters and self._timer is None:
            self._tick()

    def _tick(self) -> None:
        self._timer = None
        for waiter in self._waiters:
            if (due := self._due(waiter)) > self._time():
                self._timer = asyncio.get_running_loop().call_at(due, self._tick)
                return
            self._end(waiter, self.overdue())
