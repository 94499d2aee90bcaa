"""The fastest way to use honker: our own loop over its batch calls. It stores no results."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

import honker

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import Params

from .honker_worker import MANY, UNFINISHED


class HonkerLoop(Subject):
    description = Description(
        store=StoreKind.SQLITE,
        packages=("honker",),
        promises="no result, handler or retry: a loop written by hand over its calls for batches",
        bulk_calls=(MANY,),
        unfinished=UNFINISHED,
        is_flushed=False,
    )

    def __init__(self, url: str, batch: int) -> None:
        self._url, self._batch = url, batch

    async def create_tables(self) -> None:
        await self.open()
        self._database.close()

    async def open(self) -> None:
        self._database = honker.open(self._url)
        self._queue = self._database.queue("mail", visibility_timeout_s=600)

    async def put(self, params: Params) -> None:
        self._queue.enqueue(params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        with self._database.transaction() as transaction:
            for params in jobs:
                self._queue.enqueue(params, tx=transaction)

    async def work(self, ran: Ran) -> None:
        worker, updates = f"worker-{os.getpid()}", self._database.update_events()
        while True:
            jobs = self._queue.claim_batch(worker, self._batch)
            for job in jobs:
                ran(job.payload["to"], job.payload["subject"])
            if jobs:
                self._queue.ack_batch([job.id for job in jobs], worker)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(anext(updates), 5)
