"""Run coroutines for a test without an event loop. Plain handlers run in the thread of the test."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from queue import Queue
from typing import Any, TypeVar

from ..concurrency.handler_threads import calling_thread

T = TypeVar("T")


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_from_here(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine in the event loop of another thread, and wait for it.

    Plain handlers run in this thread, so that they see the database connections and the open transaction of the test.
    If asgiref is imported, so does the plain code that async handlers call with `sync_to_async`.
    """
    asgiref = sys.modules.get("asgiref.sync")
    return _run(call) if asgiref is None or in_event_loop() else _run_with_asgiref(call, asgiref)


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    work: Queue[Callable[[], None] | None] = Queue()
    result: Future[T] = Future()
    variables = copy_context()

    async def main() -> T:
        calling_thread.set(work.put)
        return await call()

    def loop() -> None:
        try:
            result.set_result(variables.run(asyncio.run, main()))
        except BaseException as error:  # noqa: BLE001  the caller raises it
            result.set_exception(error)
        finally:
            work.put(None)

    threading.Thread(target=loop, name="server-jobs-test", daemon=True).start()
    while (task := work.get()) is not None:
        task()
    return result.result()


def _run_with_asgiref(call: Callable[[], Coroutine[Any, Any, T]], asgiref: Any) -> T:  # noqa: ANN401  a module
    """Let asgiref run the loop: `sync_to_async` finds the way to this thread only then."""
    tasks = set[asyncio.Future[None]]()

    async def main() -> T:
        before = calling_thread.set(lambda work: tasks.add(asyncio.ensure_future(asgiref.sync_to_async(work)())))
        try:
            return await call()
        finally:
            calling_thread.reset(before)  # asgiref copies variables to the caller

    result: T = asgiref.async_to_sync(main)()
    return result
