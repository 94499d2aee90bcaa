"""A queue from many threads to one thread, with a timed wait that always ends.

Before Python 3.13, `queue.SimpleQueue.get(timeout=...)` may wait forever, because its remaining time can turn negative.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import TIMEOUT_MAX, Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue of items: any thread puts, one thread takes, in order."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        # `put` releases this lock, `take` acquires it. A wait is one call of the lock, without computed times.
        self._bell = Lock()

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: T) -> None:
        """Add an item. Never blocks."""
        self._items.append(item)
        with suppress(RuntimeError):  # released already: `take` has not seen an earlier item yet
            self._bell.release()

    def take(self, most: int, *, timeout: float | None) -> list[T]:
        """Return up to `most` items. If there is none, wait up to `timeout` seconds; None: no limit.

        May return an empty list early.
        """
        self._bell.acquire(blocking=False)
        if not self._items:
            # The lock takes -1 as "no limit", so never pass a negative time.
            self._bell.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX))
        return [self._items.popleft() for _ in range(min(len(self._items), most))]
