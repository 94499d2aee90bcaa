"""The alarm of a Worker: a Durable Object that wakes when the next job is due.

The object stores one time, and nothing of the jobs. If it is lost, the cron trigger sets it again within a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from .background import TICK_PAUSE, AlarmTicks, Pauses
from .binding_names import ALARM_BINDING

if TYPE_CHECKING:
    from .entry import CloudflareWorkerBackend, CronHandler

ALARM_NAME = "jobs"
"""The name of the only object."""

FAILURE_PAUSE = timedelta(seconds=2)
SURE = 5000.0
"""Milliseconds. An alarm that is as far away cannot have rung, even if the clocks of two machines differ."""
SAME = 20.0
"""Milliseconds. The same due time, read twice, differs by the time of the queries."""

_logger = logging.getLogger("server_jobs")


class AlarmSetter:
    """Sets the alarm of a Worker, with at most one call of the object per invocation."""

    def __init__(self) -> None:
        self._known = 0.0  # the time of the alarm as this isolate knows it, in milliseconds

    async def plan(
        self,
        backend: CloudflareWorkerBackend,
        env: object,
        pause: timedelta = timedelta(0),
        *,
        is_sure: bool = True,
    ) -> None:
        """Set the alarm for the next work. Work that is due now waits for the pause.

        Does not call the object if this isolate has set an alarm that is early enough, unless `is_sure` is False. Logs
        errors: the cron trigger runs the jobs then.
        """
        namespace: Any = getattr(env, ALARM_BINDING, None)
        if not hasattr(namespace, "getByName"):  # a Worker without the object
            return
        try:
            at = await next_alarm(backend, pause)
            if at is None or (is_sure and _now() + SURE <= self._known <= at + SAME):
                return
            self._known = float(await namespace.getByName(ALARM_NAME).wake_at(at))
        except Exception:
            _logger.exception("the alarm of this Worker was not set; the cron trigger runs due jobs within a minute")


async def next_alarm(backend: CloudflareWorkerBackend, pause: timedelta = timedelta(0)) -> float | None:
    """Return when there is work next, in milliseconds since the epoch; None if nothing is stored for later.

    Work that is due now waits for the pause. Makes 1 query. If the invocation has none left, its rest is for another
    one soon.
    """
    if not backend.has_queries:
        return _now() + TICK_PAUSE / timedelta(milliseconds=1)
    wait = (await backend.store.upcoming_work(backend.execution.request(limit=1))).earliest(pause)
    return None if wait is None else _now() + wait / timedelta(milliseconds=1)


class AlarmClock:
    """The object that wakes a Worker. A generated entry derives it from this class and `DurableObject`."""

    handler: ClassVar[CronHandler]
    ctx: Any
    env: object

    def __init__(self, ctx: object, env: object) -> None:
        super().__init__(ctx, env)  # type: ignore[call-arg]  # of DurableObject
        self._setting = asyncio.Lock()
        self._pauses = Pauses()
        self._ticks = AlarmTicks(self._tick, self._plan, self._tick_failed)

    async def wake_at(self, at: float) -> float:
        """Set the alarm, unless an earlier one is set. Return the time of the alarm. Milliseconds since the epoch."""
        async with self._setting:
            current = await self.ctx.storage.getAlarm()
            if isinstance(current, int | float) and current <= at:
                return float(current)
            await self.ctx.storage.setAlarm(at)
            return at

    async def alarm(self, _info: object = None) -> None:
        """Run a tick, and set the next alarm. Raises the tick's error, so that Cloudflare repeats the alarm."""
        await self._ticks.ring()

    async def _tick(self, started: asyncio.Event) -> None:
        await self._set(await self.handler.ring(self.env, started, self._pauses))

    async def _plan(self, pause: timedelta) -> None:
        await self._set(await self.handler.next_alarm(self.env, pause))

    async def _tick_failed(self) -> None:
        await self._set(_now() + FAILURE_PAUSE / timedelta(milliseconds=1))

    async def _set(self, at: float | None) -> None:
        if at is not None:
            await self.wake_at(at)


def _now() -> float:
    return time.time() * 1000
