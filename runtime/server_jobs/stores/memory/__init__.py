"""The store in memory. Every method runs within one turn of the event loop, so that it is atomic."""

from __future__ import annotations

from collections.abc import Callable

from .attempts import Attempts
from .by_hand import ByHand
from .enqueue import Enqueuing
from .history import History
from .maintenance import Maintenance
from .read import Reading
from .schedules import Schedules


class MemoryStore(Maintenance, History, Reading, Attempts, Schedules, Enqueuing, ByHand):
    """A store for tests, and for jobs that may be lost when the process ends.

    It keeps the same records as a database. `lifecycle` makes every move.
    """

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing. The jobs live as long as this object."""

    async def ping(self) -> None:
        """Do nothing."""

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Do nothing: no other process has access."""
        del wake
        return lambda: None
