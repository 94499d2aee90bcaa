"""The threads of plain handlers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from queue import SimpleQueue  # noqa: TID251  its `get` is never given a timeout

calling_thread: ContextVar[Callable[[Callable[[], None]], object] | None] = ContextVar("calling_thread", default=None)
"""Runs a function in the thread that waits for the jobs: plain handlers of tests share its connections."""


def in_thread(call: Callable[[], object]) -> asyncio.Future[object]:
    """Run a plain function in a daemon thread, with the current context variables.

    A thread runs one function at a time, and another one afterwards, so that objects of a thread, such as a database
    connection, last longer than a call. The number of threads is not limited: a handler that never returns occupies
    only its own slot. Daemon threads cannot prevent the process from ending. In a test without an event loop, the
    thread of the test runs the function.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[object] = loop.create_future()
    variables = copy_context()

    def settle(value: object, error: BaseException | None) -> None:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
            future.exception()

    def work() -> None:
        value: object = None
        error: BaseException | None = None
        try:
            value = variables.run(call)
        except StopIteration as stop:
            error = RuntimeError(f"the handler raised StopIteration: {stop}")
        except GeneratorExit:  # inside a waiting coroutine it would close the engine's own
            error = RuntimeError("the handler raised GeneratorExit")
        except BaseException as raised:  # noqa: BLE001  the event loop receives it
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, error)

    if (run_there := calling_thread.get()) is not None:
        variables.run(calling_thread.set, None)  # it is busy until the handler returns
        run_there(work)
    else:
        _thread().start(work)
    return future


class _HandlerThread:
    """A daemon thread that runs one function after the other."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._has_begun = threading.Semaphore(0)
        threading.Thread(target=self._run, name="server-jobs-handler", daemon=True).start()

    def start(self, work: Callable[[], None]) -> None:
        """Run the function, and return when it begins, as `threading.Thread.start` does."""
        self._inbox.put(work)
        self._has_begun.acquire()

    def _run(self) -> None:
        while True:
            work = self._inbox.get()
            self._has_begun.release()
            work()
            del work  # it refers to the params of a job
            _idle.append(self)


_idle: list[_HandlerThread] = []
"""The threads that wait for a function. The next function gets the last of them."""


def _thread() -> _HandlerThread:
    try:
        return _idle.pop()
    except IndexError:
        return _HandlerThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a forked child has none of the threads
