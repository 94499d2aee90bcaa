"""Work that continues after the answer of an invocation."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine


async def begin(tick: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> asyncio.Future[None]:
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
