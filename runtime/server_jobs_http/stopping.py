"""The end of the server: cancel long-running work."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TypeVar

from server_jobs.concurrency.tasks import is_being_cancelled

from .problem_document import RETRY_AFTER, RefusedError

T = TypeVar("T")


class Stopping:
    """The stop signal of a server. It cancels the work inside `within`, and prevents new work."""

    def __init__(self) -> None:
        self._has_started = False
        self._tasks: set[asyncio.Task[object]] = set()

    def begin(self) -> None:
        """Signal the stop."""
        self._has_started = True
        for task in self._tasks:
            task.cancel()

    async def within(self, work: Coroutine[object, object, T]) -> T:
        """Run the work and return its result. When the server stops, end the work and raise `RefusedError` (503)."""
        if self._has_started:
            work.close()
            raise _stopped()
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if is_being_cancelled() or not self._has_started:
                raise
            raise _stopped() from None
        finally:
            self._tasks.discard(task)


class StoppingOnSignals(Stopping):
    """Begins at SIGTERM or SIGINT, for an application in the server of somebody else.

    Such a server waits for open connections before it announces its end to the application. It handles the signals
    afterwards. Has no effect outside of the main thread, and where no Python code handles SIGTERM.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def within(self, work: Coroutine[object, object, T]) -> T:
        self._listen(asyncio.get_running_loop())
        return await super().within(work)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receive the signals of the server that runs in this loop. Another loop means another run of a server."""
        if loop is self._loop or threading.current_thread() is not threading.main_thread():
            return
        self._loop, self._has_started = loop, False
        if callable(signal.getsignal(signal.SIGTERM)):
            for number in (signal.SIGTERM, signal.SIGINT):
                _call_first(number, self._begin_soon)

    def _begin_soon(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.begin)


def _call_first(number: signal.Signals, call: Callable[[], None]) -> None:
    """Make the call before the current handler of the signal, if Python code handles it."""
    handler = signal.getsignal(number)
    if not callable(handler):
        return

    def handle(received: int, frame: FrameType | None) -> None:
        call()
        handler(received, frame)

    signal.signal(number, handle)


def _stopped() -> RefusedError:
    return RefusedError(503, "the server is stopping; its running jobs were released", headers=RETRY_AFTER)
