"""Ticks and other work that continues after the answer of an invocation."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta

from server_jobs.engine.tick import Tick

MOST_TICKS = 10
"""Ticks of one object whose jobs run at the same time."""
TICK_PAUSE = timedelta(seconds=1)
"""Pause before another tick starts jobs that are due, while the jobs of a tick run."""
_MOST_DOUBLINGS = 6
_LONGEST_PAUSE = timedelta(minutes=1)

_logger = logging.getLogger("server_jobs")


class Pauses:
    """Pauses while no tick can start a due job, for example because of a limit: 1 s, 2 s, 4 s, up to a minute."""

    def __init__(self) -> None:
        self._idle = 0

    def after(self, done: Tick) -> timedelta:
        """Return the pause after this tick; zero if it has worked."""
        self._idle = 0 if done.has_worked else min(self._idle + 1, _MOST_DOUBLINGS + 1)
        return min(timedelta(seconds=2 ** (self._idle - 1)), _LONGEST_PAUSE) if self._idle else timedelta(0)


class AlarmTicks:
    """The ticks of an object's alarm.

    The alarm returns when a job of its tick runs, because the next alarm rings only then. The tick goes on. `tick` runs
    one tick and plans the next alarm, `plan` plans it after a pause, and `failed` is called if a tick fails later.
    """

    def __init__(
        self,
        tick: Callable[[asyncio.Event], Coroutine[object, object, None]],
        plan: Callable[[timedelta], Awaitable[None]],
        failed: Callable[[], Awaitable[None]],
    ) -> None:
        self._tick, self._plan, self._failed = tick, plan, failed
        self._running: set[asyncio.Future[None]] = set()

    async def ring(self) -> None:
        """Run a tick until a job runs or the tick ends. Raises its error."""
        if len(self._running) >= MOST_TICKS:
            return  # the first of them that ends plans the next alarm
        tick = await _begun(self._tick)
        if tick.done():
            tick.result()
            return
        self._running.add(tick)
        tick.add_done_callback(self._running.discard)
        keep_running(self._watched(tick))
        await self._plan(TICK_PAUSE)

    async def _watched(self, tick: asyncio.Future[None]) -> None:
        try:
            await tick
        except Exception:
            _logger.exception("a tick of the alarm failed after its first job started")
            await self._failed()


async def _begun(tick: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> asyncio.Future[None]:
    """Start a tick, and return it when it ends or, if that is earlier, when it sets its event: a job has started."""
    started = asyncio.Event()
    running = asyncio.ensure_future(tick(started))
    waiting = asyncio.ensure_future(started.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return running


def keep_running(work: Coroutine[object, object, None]) -> None:
    """Start the work, and let Cloudflare keep the invocation or the object until it ends."""
    task = asyncio.ensure_future(work)
    # JavaScript keeps the proxy longer than the call, so destroy it at the end of the work.
    promise = importlib.import_module("pyodide.ffi").create_proxy(task)
    task.add_done_callback(lambda _: promise.destroy())
    importlib.import_module("workers").wait_until(promise)
