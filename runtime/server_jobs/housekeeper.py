"""What every worker does for all of them about once a second: expire, schedule, prune."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from datetime import timedelta

from .backend import Backend
from .errors import DatabaseError
from .scheduler import DECLARATION_INTERVAL

_logger = logging.getLogger("server_jobs")

HOUSEKEEPING_INTERVAL = timedelta(seconds=1)


class Housekeeper:
    """Works beside the claims of a worker, which never wait for it: whoever fires a schedule may be in the way.

    `made_due` is called when there may be jobs to claim because of it.
    """

    def __init__(self, backend: Backend, made_due: Callable[[], None]) -> None:
        self._backend = backend
        self._made_due = made_due
        self._began = self._declared = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._failing: set[str] = set()

    def tick(self) -> None:
        """Begin a round, if it is time and the last one is over."""
        now = self._backend.clock.monotonic()
        if now - self._began >= HOUSEKEEPING_INTERVAL.total_seconds() and (self._task is None or self._task.done()):
            self._began = now
            self._task = asyncio.get_running_loop().create_task(self._round(), context=Context())

    async def finish(self) -> None:
        """Wait for the round that is under way."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """End it now."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _round(self) -> None:
        for chore in (self._expire, self._declare, self._schedule, self._prune):
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
