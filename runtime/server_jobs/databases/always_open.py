"""The part of a database that its host connects: there is nothing to open, and no other process to hear of."""

from __future__ import annotations

from collections.abc import Callable

from ..domain.interfaces import Wake


class AlwaysOpen:
    """The connection of a `Database` that is a part of the host of the program. Its store opens without a query."""

    is_always_open = True

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Do nothing: the database sends no events."""
        del wake
        return lambda: None

    def announce(self) -> None:
        """Do nothing."""
