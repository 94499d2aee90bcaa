"""honker with its decorator and its `run_workers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import honker

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

MANY = "enqueue in one transaction()"
UNFINISHED = "SELECT count(*) FROM _honker_live"


class HonkerWorker(Subject):
    description = Description(
        store=StoreKind.SQLITE,
        packages=("honker",),
        promises="result stored by itself before the job is acknowledged, which is fenced; one at a time",
        bulk_calls=(MANY,),
        unfinished=UNFINISHED,
        results="SELECT count(*) FROM _honker_results",
        is_flushed=False,
    )
    _mail: Any

    def __init__(self, url: str) -> None:
        self._url = url
        self._ran: list[Ran] = []

    async def create_tables(self) -> None:
        await self.open()
        self._database.close()

    async def open(self) -> None:
        self._database = honker.open(self._url)
        self._queue = self._database.queue("mail", visibility_timeout_s=600)

        @self._queue.task(name="mail")
        async def mail(to: str, subject: str, body: str) -> dict[str, bool]:
            del body
            self._ran[0](to, subject)
            return RESULT

        self._mail = mail

    async def put(self, params: Params) -> None:
        self._mail(**params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        with self._database.transaction() as transaction:
            for params in jobs:
                envelope = {"__honker_task__": {"task": "mail", "args": [], "kwargs": params}}
                self._queue.enqueue(envelope, tx=transaction)

    async def work(self, ran: Ran) -> None:
        self._ran.append(ran)
        await self._database.run_workers(queue="mail", concurrency=1)
