"""What every worker does for all of them about once a second: expire, schedule, prune."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import timedelta

from ..errors import DatabaseError
from .backend import Backend
from .scheduler import DECLARATION_INTERVAL

_logger = logging.getLogger("server_jobs")

HOUSEKEEPING_INTERVAL = timedelta(seconds=1)
_DUE, _PRUNE = "due", "prune"


class Housekeeper:
    """Works beside the claims of a worker, which never wait for it: whoever fires a schedule may be in the way.

    `made_due` is called when there may be jobs to claim because of it.
    """

    def __init__(self, backend: Backend, made_due: Callable[[], None]) -> None:
        self._backend = backend
        self._made_due = made_due
        self._began = self._declared = float("-inf")
        self._rounds: dict[str, asyncio.Task[None]] = {}
        self._failing: set[str] = set()

    def tick(self) -> None:
        """Start each chore that is not running, if it is time."""
        now = self._backend.clock.monotonic()
        if now - self._began < HOUSEKEEPING_INTERVAL.total_seconds():
            return
        self._began = now
        self._start(_DUE, self._expire, self._declare, self._schedule)
        # It may take long where many jobs are past their retention, and must not delay leases and schedules.
        self._start(_PRUNE, self._prune)

    async def finish(self) -> None:
        """Wait for the chores that may make jobs due, if they are running."""
        if (task := self._rounds.get(_DUE)) is not None:
            await asyncio.wait([task])

    async def stop(self) -> None:
        """Cancel the chores that are running."""
        for task in self._rounds.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._rounds.clear()

    def _start(self, name: str, *chores: Callable[[], Awaitable[None]]) -> None:
        running = self._rounds.get(name)
        if running is None or running.done():
            self._rounds[name] = asyncio.get_running_loop().create_task(self._round(chores), context=Context())

    async def _round(self, chores: Sequence[Callable[[], Awaitable[None]]]) -> None:
        for chore in chores:
            await self._do(chore)

    async def _do(self, chore: Callable[[], Awaitable[None]]) -> None:
        """One that fails keeps no other from being done; it is said once, until it works again."""
        name = chore.__name__.strip("_")
        try:
            await chore()
        except DatabaseError as error:
            if name not in self._failing:
                self._failing.add(name)
                _logger.error("housekeeping (%s) failed, trying again: %s", name, error)  # noqa: TRY400  one line, no trace
        except Exception:
            _logger.exception("housekeeping (%s) failed", name)
        else:
            if name in self._failing:
                self._failing.discard(name)
                _logger.warning("housekeeping (%s) works again", name)

    async def _expire(self) -> None:
        expired = await self._backend.handle_expired_locks()
        for job in expired:
            _logger.warning("%s %s: lease expired, now %s", job.job_name, job.id, job.status)
        if expired:
            self._made_due()

    async def _declare(self) -> None:
        now = self._backend.clock.monotonic()
        if now - self._declared >= DECLARATION_INTERVAL.total_seconds():
            await self._backend.scheduler.declare()
            self._declared = now

    async def _schedule(self) -> None:
        try:
            is_due = bool(await self._backend.scheduler.tick())
        except DatabaseError:
            self._made_due()  # other schedules than the one that was refused may have fired
            raise
        if is_due:
            self._made_due()

    async def _prune(self) -> None:
        await self._backend.pruner.tick()
