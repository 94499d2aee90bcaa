"""The end of the server: what goes on until somebody ends it, ends then."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from ..engine.attempt import is_being_cancelled
from .problem import RETRY_AFTER, RefusedError

T = TypeVar("T")


class Stopping:
    """Told once, by the server, that it stops; cancels what runs within it, and lets nothing more begin."""

    def __init__(self) -> None:
        self._has_begun = False
        self._tasks: set[asyncio.Task[object]] = set()

    def begin(self) -> None:
        """The server stops."""
        self._has_begun = True
        for task in self._tasks:
            task.cancel()

    async def within(self, work: Coroutine[object, object, T]) -> T:
        """What this work returns. Raises a `RefusedError` (503) when the server stops, once the work has ended."""
        if self._has_begun:
            work.close()
            raise _stopped()
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if is_being_cancelled() or not self._has_begun:
                raise
            raise _stopped() from None
        finally:
            self._tasks.discard(task)


def _stopped() -> RefusedError:
    return RefusedError(503, "the server is stopping; what it ran was given back", headers=RETRY_AFTER)
