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
        return asyncio.get_running_loop().create_task(coroutine, context=variables)


async def shielded(future: asyncio.Future[T]) -> T:
    """Wait for a future without cancelling it when the caller is cancelled.

    Since Python 3.14, `asyncio.shield` logs an error that the future raises later, even if other code handles it.
    """
    if not future.done():
        await asyncio.wait((future,))
    return future.result()
