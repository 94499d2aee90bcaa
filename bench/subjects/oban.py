"""Oban for Python, on psycopg. Variant: the limit of the queue (best of 30 to 1000: 300)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar

from oban import Job, Oban, Record, worker
from oban.schema import install

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

_MANY = "enqueue_many"
_ran: list[Ran] = []


@worker(queue="mail")
class Mail:
    new: ClassVar[Callable[[Params], Job]]  # the decorator sets it

    async def process(self, job: Job) -> Record:
        _ran[0](job.args["to"], job.args["subject"])
        return Record(RESULT)


class ObanSubject(Subject):
    description = Description(
        store=StoreKind.POSTGRESQL,
        packages=("oban",),
        promises="result recorded; completion fenced by the time of the attempt; claims up to its limit",
        bulk_calls=(_MANY,),
        unfinished="SELECT count(*) FROM oban_jobs WHERE state <> 'completed'",
        results="SELECT count(*) FROM oban_jobs WHERE meta ? 'return'",
        uses_uvloop=True,
    )

    def __init__(self, url: str, limit: int) -> None:
        self._url, self._limit = url, limit

    async def create_tables(self) -> None:
        await self.open()
        await install(self._pool)
        await self.close()

    async def open(self) -> None:
        self._pool = await Oban.create_pool(self._url)
        self._oban = Oban(pool=self._pool)

    async def close(self) -> None:
        await self._pool.close()

    async def put(self, params: Params) -> None:
        await self._oban.enqueue(Mail.new(params))

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        await self._oban.enqueue_many([Mail.new(params) for params in jobs])

    async def work(self, ran: Ran) -> None:
        _ran.append(ran)
        async with Oban(pool=self._pool, queues={"mail": self._limit}):
            await asyncio.Event().wait()


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return ObanSubject(url, int(variant or 300))
