"""Procrastinate on psycopg. Variant: the worker's concurrency (best of 1 to 40: 20)."""

from __future__ import annotations

from collections.abc import Sequence

from procrastinate import App, PsycopgConnector

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

_MANY = "batch_defer, 1000 each"
_PART = 1000


class Procrastinate(Subject):
    description = Description(
        store=StoreKind.POSTGRESQL,
        packages=("procrastinate",),
        promises="no result; completion by id while the job runs, not fenced; claims one at a time",
        bulk_calls=(_MANY,),
        unfinished="SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'",
        is_analyzed=True,
    )

    def __init__(self, url: str, concurrency: int) -> None:
        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=20))
        self._concurrency = concurrency
        self._ran: list[Ran] = []

        @self._app.task(name="mail", queue="mail")
        async def mail(to: str, subject: str, body: str) -> dict[str, bool]:
            del body
            self._ran[0](to, subject)
            return RESULT

        self._mail = mail

    async def create_tables(self) -> None:
        await self.open()
        await self._app.schema_manager.apply_schema_async()
        await self.close()

    async def open(self) -> None:
        await self._app.open_async()

    async def close(self) -> None:
        await self._app.close_async()

    async def put(self, params: Params) -> None:
        await self._mail.defer_async(**params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        for first in range(0, len(jobs), _PART):
            await self._mail.batch_defer_async(*jobs[first : first + _PART])

    async def work(self, ran: Ran) -> None:
        self._ran.append(ran)
        await self._app.run_worker_async(queues=["mail"], concurrency=self._concurrency, install_signal_handlers=False)


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return Procrastinate(url, int(variant or 20))
