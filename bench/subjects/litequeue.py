"""litequeue: put, pop and done on one SQLite table. It has no handlers, so this module has its own loop.

litequeue sets `synchronous=NORMAL`, so a power failure may lose the last commits. The variant `full` flushes them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from litequeue import LiteQueue

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import Params

_MANY = "put in one transaction()"
_POLL = 0.01  # litequeue cannot wait for a job; its documentation polls


class LiteQueueSubject(Subject):
    _queue: LiteQueue

    def __init__(self, url: str, *, is_flushed: bool) -> None:
        self._url, self._is_flushed = url, is_flushed
        self.description = Description(
            store=StoreKind.SQLITE,
            packages=("litequeue",),
            promises="no result, retry or handler; completion fenced by the claim; one at a time",
            bulk_calls=(_MANY,),
            unfinished="SELECT count(*) FROM Queue WHERE status <> 2",
            is_flushed=is_flushed,
        )

    async def create_tables(self) -> None:
        await self.open()

    async def open(self) -> None:
        self._queue = LiteQueue(self._url, timeout=30)
        if self._is_flushed:
            self._queue.conn.execute("PRAGMA synchronous = FULL")

    async def put(self, params: Params) -> None:
        self._queue.put(json.dumps(params))

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        with self._queue.transaction():
            for params in jobs:
                self._queue.put(json.dumps(params))

    async def work(self, ran: Ran) -> None:
        while True:
            message = self._queue.pop()
            if message is None:
                await asyncio.sleep(_POLL)
                continue
            params = json.loads(message.data)
            ran(params["to"], params["subject"])
            self._queue.done(message.message_id, claim_id=message.claim_id)


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return LiteQueueSubject(url, is_flushed=variant == "full")
