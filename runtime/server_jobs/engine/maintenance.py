"""The chores of a worker by time: most of them about once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import timedelta

from ..errors import DatabaseError
from .chores import Failures
from .execution import Execution
from .scheduler import DECLARATION_INTERVAL

MAINTENANCE_INTERVAL = timedelta(seconds=1)
_FORGET_INTERVAL = timedelta(hours=1)
_COUNT_INTERVAL = timedelta(seconds=5)
_SECONDS_BETWEEN_BATCHES = 0.05
_REST = 100  # multiple of the duration of a look at all batches
_DUE, _BATCHES, _BATCH_PAUSE, _LATE, _PRUNE = "due", "batches", "pause of batches", "late", "prune"


class Maintenance:
    """Run the chores of a worker in the background. Claims never wait for them.

    Calls `made_due` when a chore may have made jobs due.
    """

    def __init__(self, execution: Execution, made_due: Callable[[], None]) -> None:
        self._execution = execution
        self._made_due = made_due
        self._began = self._declared = self._counted = self._forgot = self._look_at_batches = float("-inf")
        self._rounds: dict[str, asyncio.Task[None]] = {}
        self._chores = execution.chores
        self._failures = Failures("maintenance")

    def tick(self) -> None:
        """Start each chore that is due and not running."""
        if not self._is_running(_BATCH_PAUSE):
            self._end_batches_soon()
        now = self._execution.clock.monotonic()
        if now - self._began < MAINTENANCE_INTERVAL.total_seconds():
            return
        self._began = now
        self._start(_DUE, self._expire, self._declare, self._schedule, self._end_batches)
        # These may take long, and must not delay leases and schedules.
        self._start(_LATE, self._cancel_late)
        self._start(_PRUNE, self._count, self._prune, self._forget)

    async def finish(self) -> None:
        """End the batches of the last jobs without a pause. Wait for the running chores that change pending jobs."""
        self._end_batches_soon()
        while running := [self._rounds[name] for name in (_DUE, _BATCHES, _LATE) if self._is_running(name)]:
            await asyncio.wait(running)
            self._end_batches_soon()

    async def stop(self) -> None:
        """Cancel the running chores, and each chore that starts before all have ended."""
        while self._rounds:
            _, task = self._rounds.popitem()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _start(self, name: str, *chores: Callable[[], Awaitable[None]]) -> None:
        if not self._is_running(name):
            self._rounds[name] = asyncio.get_running_loop().create_task(self._round(chores), context=Context())

    def _is_running(self, name: str) -> bool:
        running = self._rounds.get(name)
        return running is not None and not running.done()

    async def _round(self, chores: Sequence[Callable[[], Awaitable[None]]]) -> None:
        for chore in chores:
            await self._failures.do(chore.__name__.strip("_"), chore())

    async def _expire(self) -> None:
        if await self._chores.expire():
            self._made_due()

    async def _cancel_late(self) -> None:
        await self._chores.cancel_late()

    async def _declare(self) -> None:
        now = self._execution.clock.monotonic()
        if now - self._declared >= DECLARATION_INTERVAL.total_seconds():
            await self._chores.declare()
            self._declared = now

    async def _schedule(self) -> None:
        try:
            is_due = bool(await self._chores.schedule())
        except DatabaseError:
            self._made_due()  # other schedules may have fired
            raise
        if is_due:
            self._made_due()

    def _end_batches_soon(self) -> None:
        if self._execution.runner.batches:
            self._start(_BATCHES, self._end_batches_of_jobs)

    async def _end_batches_of_jobs(self) -> None:
        """End the batches of jobs that this process has finished. `_end_batches` finds what a crash leaves behind."""
        batches = self._execution.runner.batches
        some = list(batches)
        batches.clear()
        await self._chores.end_batches(some)
        self._start(_BATCH_PAUSE, self._pause_batches)

    async def _pause_batches(self) -> None:
        """Let outcomes of more jobs gather. A worker that ends does not wait for this."""
        await self._execution.clock.sleep(_SECONDS_BETWEEN_BATCHES)
        self._end_batches_soon()

    async def _end_batches(self) -> None:
        clock = self._execution.clock
        if (began := clock.monotonic()) >= self._look_at_batches:
            await self._chores.end_batches()
            self._look_at_batches = began + (clock.monotonic() - began) * _REST

    async def _prune(self) -> None:
        await self._chores.prune()

    async def _count(self) -> None:
        now = self._execution.clock.monotonic()
        if now - self._counted >= _COUNT_INTERVAL.total_seconds():
            self._counted = now
            await self._chores.count()

    async def _forget(self) -> None:
        now = self._execution.clock.monotonic()
        if now - self._forgot >= _FORGET_INTERVAL.total_seconds():
            await self._chores.forget_workers()
            await self._chores.forget_counts()
            self._forgot = now
