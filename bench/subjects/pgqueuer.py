"""PgQueuer on asyncpg. Variant: the batch size of a claim (best of 10 to 2000: 1000; PgQueuer's default is 10)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
from pgqueuer import Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import Params

_MANY = "enqueue, lists of 5000"
_PART = 5000


class PgQueuer(Subject):
    description = Description(
        store=StoreKind.POSTGRESQL,
        packages=("pgqueuer",),
        promises="no result; a finished job is deleted by its id, not fenced, and logged; claims in batches",
        bulk_calls=(_MANY,),
        unfinished="SELECT count(*) FROM pgqueuer",
        uses_uvloop=True,
    )
    _queries: Queries

    def __init__(self, url: str, batch: int) -> None:
        self._url, self._batch = url, batch

    async def create_tables(self) -> None:
        await self.open()
        await self._queries.install()

    async def open(self) -> None:
        self._queries = Queries(AsyncpgDriver(await asyncpg.connect(self._url)))

    async def put(self, params: Params) -> None:
        await self._queries.enqueue("mail", json.dumps(params).encode())

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        for first in range(0, len(jobs), _PART):
            part = [json.dumps(params).encode() for params in jobs[first : first + _PART]]
            await self._queries.enqueue(["mail"] * len(part), list(part), [0] * len(part))

    async def work(self, ran: Ran) -> None:
        queue = QueueManager(self._queries)

        @queue.entrypoint("mail")
        async def mail(job: Job) -> None:
            params = json.loads(job.payload or b"{}")
            ran(params["to"], params["subject"])

        await queue.run(batch_size=self._batch, dequeue_timeout=timedelta(seconds=5))


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return PgQueuer(url, int(variant or 1000))
