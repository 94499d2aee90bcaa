"""A queue from many threads to one, whose timed wait always ends in time.

`queue.SimpleQueue.get(timeout=...)` is no alternative: before Python 3.13 the time that remains can become negative,
and then it waits without limit.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import TIMEOUT_MAX, Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Items that any thread puts in and one thread takes out, in order."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        # Free after `put`; `take` locks it. No time is computed from another: a wait is one call of the lock.
        self._bell = Lock()

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: T) -> None:
        """Add an item. Never blocks."""
        self._items.append(item)
        with suppress(RuntimeError):  # it is free already: `take` has not yet seen an earlier item
            self._bell.release()

    def take(self, most: int, *, timeout: float | None) -> list[T]:
        """Return up to `most` items. While there is none, wait up to `timeout` seconds, or without limit for None.

        May return an empty list before the time is over.
        """
        self._bell.acquire(blocking=False)
        if not self._items:
            # -1 means without limit there, so a time below zero must not reach it.
            self._bell.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX))
        return [self._items.popleft() for _ in range(min(len(self._items), most))]
