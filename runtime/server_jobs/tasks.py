"""Tasks that run as far as they can at once, instead of in the next turn of the event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 12):

    def begun(coroutine: Coroutine[None, None, T], variables: Context | None = None) -> asyncio.Task[T]:
        """A task that has run as far as it could, which may be all the way; in these context variables, or a copy."""
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), context=variables, eager_start=True)

else:

    def begun(coroutine: Coroutine[None, None, T], variables: Context | None = None) -> asyncio.Task[T]:
        """A task in these context variables, or a copy; it begins in the next turn of the event loop."""
        return asyncio.get_running_loop().create_task(coroutine, context=variables)
