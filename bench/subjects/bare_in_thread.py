"""The bare SQLite driver in a thread, for programs with an event loop, which each commit would block."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bench.subject import Description, StoreKind, Subject
from bench.work import Params

from .bare_sqlite import PUT, SETTINGS, TABLE

T = TypeVar("T")


class BareInThread(Subject):
    """One connection in one thread, used from an event loop."""

    description = Description(store=StoreKind.SQLITE, promises="the insert alone, in a thread of an event loop")
    _connection: sqlite3.Connection

    def __init__(self, url: str) -> None:
        self._path = url
        self._thread = ThreadPoolExecutor(1)

    async def create_tables(self) -> None:
        await self.open()
        await self._there(lambda: self._connection.executescript(TABLE))

    async def open(self) -> None:
        self._connection = await self._there(lambda: sqlite3.connect(self._path, isolation_level=None))
        await self._there(lambda: self._connection.executescript(SETTINGS))

    async def close(self) -> None:
        await self._there(self._connection.close)

    async def put(self, params: Params) -> None:
        values = (json.dumps(params), time.time())
        await self._there(lambda: self._connection.execute(PUT, values))

    async def _there(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    del variant
    return BareInThread(url)
