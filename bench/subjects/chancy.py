"""Chancy on psycopg, its asyncio executor. Variant: the concurrency of the queue (best of 100 to 2000: 500)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from chancy import Chancy, Queue, Worker, job

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

_MANY = "push_many"
_LOG = logging.getLogger("chancy")
_ran: list[Ran] = []


@job(queue="default")
async def mail(to: str, subject: str, body: str) -> dict[str, bool]:
    del body
    _ran[0](to, subject)
    return RESULT


class ChancySubject(Subject):
    description = Description(
        store=StoreKind.POSTGRESQL,
        packages=("chancy",),
        promises="no result (plugins are given it); completion fenced by the claim, written every 0.1 s",
        bulk_calls=(_MANY,),
        unfinished="SELECT count(*) FROM chancy_jobs WHERE state <> 'succeeded'",
    )

    def __init__(self, url: str, concurrency: int) -> None:
        _LOG.setLevel(logging.WARNING)
        self._app = Chancy(url, log=_LOG)
        self._concurrency = concurrency

    async def create_tables(self) -> None:
        await self.open()
        await self._app.migrate()
        queue = Queue("default", concurrency=self._concurrency, executor=Chancy.Executor.Async, eager_polling=True)
        await self._app.declare(queue)
        await self.close()

    async def open(self) -> None:
        await self._app.pool.open()

    async def close(self) -> None:
        await self._app.pool.close()

    async def put(self, params: Params) -> None:
        await self._app.push(mail.job.with_kwargs(**params))

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        async for _ in self._app.push_many([mail.job.with_kwargs(**params) for params in jobs]):
            pass

    async def work(self, ran: Ran) -> None:
        _ran.append(ran)
        worker = Worker(self._app)
        worker.send_outgoing_interval = 0.1  # with the default of 1 s, the last outcomes wait up to 1 s
        async with worker:
            await worker.wait_for_shutdown()


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return ChancySubject(url, int(variant or 500))
