"""The end of the server: cancel long-running work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from ..engine.attempt import is_being_cancelled
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


def _stopped() -> RefusedError:
    return RefusedError(503, "the server is stopping; its running jobs were released", headers=RETRY_AFTER)
