"""Tasks that start at once, and tasks that outlive their caller."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 12):

    def start_task(coroutine: Coroutine[None, None, T], variables: Context | None = None) -> asyncio.Task[T]:
        """Start a task and run it until it first waits. It uses these context variables, or a copy of the current."""
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), context=variables, eager_start=True)

else:

    def start_task(coroutine: Coroutine[None, None, T], variables: Context | None = None) -> asyncio.Task[T]:
        """Start a task in the next turn of the loop. It uses these context variables, or a copy of the current."""
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), context=variables)


async def shielded(future: asyncio.Future[T]) -> T:
    """Wait for a future without cancelling it when the caller is cancelled.

    Since Python 3.14, `asyncio.shield` logs an error that the future raises later, even if other code handles it.
    """
    if not future.done():
        await asyncio.wait((future,))
    return future.result()


def is_being_cancelled() -> bool:
    """Whether the current task is being cancelled.

    Before Python 3.13, also after a child of an `asyncio.TaskGroup` has failed in this task.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
