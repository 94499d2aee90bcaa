"""A store in memory that can be switched off: calls fail, or wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from server_jobs import DatabaseUnreachableError
from server_jobs.stores.memory import MemoryStore


class UnreliableStore(MemoryStore):
    """While `is_down`, each call raises `DatabaseUnreachableError`; while it `hangs`, calls wait."""

    is_down = False
    hangs = False

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or not asyncio.iscoroutinefunction(value) or name == "close":
            return value
        return self._guarded(value)

    def _guarded(self, call: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., Coroutine[Any, Any, object]]:
        async def guarded(*args: object, **kwargs: object) -> object:
            while self.hangs:
                await asyncio.sleep(0.01)
            if self.is_down:
                raise DatabaseUnreachableError("the server is down")
            return await call(*args, **kwargs)

        return guarded
