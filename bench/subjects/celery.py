"""Celery on Redis with an append-only file. It uses the `solo` pool: one process, which runs the jobs itself."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

_MANY = "apply_async with one producer"
_ran: list[Ran] = []


class CelerySubject(Subject):
    description = Description(
        store=StoreKind.REDIS,
        packages=("celery",),
        promises="result stored; a job is acknowledged when it begins, so it is lost when the worker dies",
        bulk_calls=(_MANY,),
        unfinished="return {jobs} - #redis.call('KEYS', 'celery-task-meta-*')",
        results="return #redis.call('KEYS', 'celery-task-meta-*')",
        is_flushed=False,
    )

    def __init__(self, url: str) -> None:
        self._app = Celery("mail", broker=url, backend=url)
        self._app.conf.update(worker_prefetch_multiplier=100, worker_hijack_root_logger=False)

        @self._app.task(name="mail")
        def mail(to: str, subject: str, body: str) -> dict[str, bool]:
            del body
            _ran[0](to, subject)
            return RESULT

        self._mail = mail

    async def create_tables(self) -> None:
        """Do nothing: Celery has no tables."""

    async def open(self) -> None:
        """Do nothing: Celery connects at the first use."""

    async def put(self, params: Params) -> None:
        self._mail.apply_async(kwargs=params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        with self._app.producer_pool.acquire(block=True) as producer:
            for params in jobs:
                self._mail.apply_async(kwargs=params, producer=producer)

    async def work(self, ran: Ran) -> None:
        _ran.append(ran)
        self._app.Worker(
            pool="solo", concurrency=1, loglevel="ERROR", without_gossip=True, without_mingle=True, quiet=True
        ).start()


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    del variant
    return CelerySubject(url)
