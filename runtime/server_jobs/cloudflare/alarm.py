"""The alarm of a Worker: a Durable Object that wakes when the next job is due.

The object stores one time, and nothing of the jobs. If it is lost, the cron trigger sets it again within a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from ..databases.url import ALARM_BINDING
from ..domain.record import UpcomingWork
from ..engine.tick import Tick
from .background import begin, keep_running

if TYPE_CHECKING:
    from .entry import CloudflareWorkerBackend, CronHandler

ALARM_NAME = "jobs"
"""The name of the only object."""

LEFT_PAUSE = timedelta(seconds=1)
"""Pause before the next look at due jobs that a tick could not start, for example because of a limit."""
FAILURE_PAUSE = timedelta(seconds=2)
SURE = 5000.0
"""Milliseconds. An alarm that is as far away cannot have rung, even if the clocks of two machines differ."""
SAME = 20.0
"""Milliseconds. The same due time, read twice, differs by the time of the queries."""
MOST_TICKS = 10
"""Ticks of one object whose jobs run at the same time."""

_logger = logging.getLogger("server_jobs")


class AlarmSetter:
    """Sets the alarm of a Worker, with at most one call of the object per invocation."""

    def __init__(self) -> None:
        self._known = 0.0  # the time of the alarm as this isolate knows it, in milliseconds

    async def plan(
        self, backend: CloudflareWorkerBackend, env: object, done: Tick | None = None, *, is_sure: bool = True
    ) -> None:
        """Set the alarm for the next work. `done` is the tick that this invocation ran.

        Does not call the object if this isolate has set an alarm that is early enough, unless `is_sure` is False. Logs
        errors: the cron trigger runs the jobs then.
        """
        namespace: Any = getattr(env, ALARM_BINDING, None)
        if not hasattr(namespace, "getByName"):  # a Worker without the object
            return
        try:
            at = await next_alarm(backend, done)
            if at is None or (is_sure and _now() + SURE <= self._known <= at + SAME):
                return
            self._known = float(await namespace.getByName(ALARM_NAME).wake_at(at))
        except Exception:
            _logger.exception("the alarm of this Worker was not set; the cron trigger runs due jobs within a minute")


async def next_alarm(backend: CloudflareWorkerBackend, done: Tick | None = None) -> float | None:
    """Return when there is work next, in milliseconds since the epoch; None if nothing is stored for later.

    Makes 1 query. If the invocation has none left, its rest is for another one soon.
    """
    if not backend.has_queries:
        return _now() + LEFT_PAUSE / timedelta(milliseconds=1)
    work = await backend.store.upcoming_work(backend.request(limit=1))
    wait = (work if done is None or done.has_worked else _left_by_tick(work)).earliest
    return None if wait is None else _now() + wait / timedelta(milliseconds=1)


def _left_by_tick(work: UpcomingWork) -> UpcomingWork:
    """Return when to look again at work that a tick has just left. A schedule that cannot fire waits for the cron."""
    due, lease, slot = work.until_due, work.until_lease_end, work.until_slot
    return UpcomingWork(
        None if due is None else max(due, LEFT_PAUSE), None if lease is None else max(lease, LEFT_PAUSE), slot or None
    )


class AlarmClock:
    """The object that wakes a Worker. A generated entry derives it from this class and `DurableObject`."""

    handler: ClassVar[CronHandler]
    ctx: Any
    env: object

    def __init__(self, ctx: object, env: object) -> None:
        super().__init__(ctx, env)  # type: ignore[call-arg]  # of DurableObject
        self._setting = asyncio.Lock()
        self._ticks: set[asyncio.Future[None]] = set()

    async def wake_at(self, at: float) -> float:
        """Set the alarm, unless an earlier one is set. Return the time of the alarm. Milliseconds since the epoch."""
        async with self._setting:
            current = await self.ctx.storage.getAlarm()
            if isinstance(current, int | float) and current <= at:
                return float(current)
            await self.ctx.storage.setAlarm(at)
            return at

    async def alarm(self, _info: object = None) -> None:
        """Run a tick, and set the next alarm. Raises the tick's error, so that Cloudflare repeats the alarm.

        Returns when jobs run, because the next alarm rings only then. The tick goes on.
        """
        if len(self._ticks) >= MOST_TICKS:
            return None  # the first of them that ends sets the alarm
        tick = await begin(self._tick)
        if tick.done():
            return tick.result()
        self._ticks.add(tick)
        tick.add_done_callback(self._ticks.discard)
        keep_running(self._watched(tick))
        await self._set(await self.handler.next_alarm(self.env))
        return None

    async def _tick(self, started: asyncio.Event) -> None:
        await self._set(await self.handler.ring(self.env, started))

    async def _watched(self, tick: asyncio.Future[None]) -> None:
        """Wait for a tick whose alarm has returned. Try again soon if it fails."""
        try:
            await tick
        except Exception:
            _logger.exception("a tick of the alarm failed, trying again in %s", FAILURE_PAUSE)
            await self._set(_now() + FAILURE_PAUSE / timedelta(milliseconds=1))

    async def _set(self, at: float | None) -> None:
        if at is not None:
            await self.wake_at(at)


def _now() -> float:
    return time.time() * 1000
