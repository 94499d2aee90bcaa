"""Huey's `SqliteHuey` with its own consumer. Variant: worker threads (best of 1, 2, 4: 1)."""

from __future__ import annotations

import asyncio

from huey import SqliteHuey

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params


class HueySubject(Subject):
    description = Description(
        store=StoreKind.SQLITE,
        packages=("huey",),
        promises="result stored; a claim deletes the job, which is lost when the worker dies; one at a time",
        # A job leaves the queue when it is claimed; its result comes when it is done.
        unfinished="SELECT {jobs} - count(*) FROM kv",
        results="SELECT count(*) FROM kv",
    )

    def __init__(self, url: str, threads: int) -> None:
        self._threads = threads
        self._app = SqliteHuey("mail", filename=url, timeout=30, fsync=True)  # SQLite's own default, said aloud
        self._ran: list[Ran] = []

        @self._app.task(name="mail")
        def mail(to: str, subject: str, body: str) -> dict[str, bool]:
            del body
            self._ran[0](to, subject)
            return RESULT

        self._mail = mail

    async def create_tables(self) -> None:
        self._app.pending_count()

    async def open(self) -> None:
        """It connects when it is used."""

    async def put(self, params: Params) -> None:
        self._mail(**params)

    async def work(self, ran: Ran) -> None:
        self._ran.append(ran)
        # Its first delay and backoff are the defaults (0.1 s, 1.15); the longest wait is cut from 10 s to 0.1 s.
        consumer = self._app.create_consumer(workers=self._threads, periodic=False, max_delay=0.1)
        consumer.start()
        await asyncio.Event().wait()


def subject(variant: str, url: str) -> Subject:
    """As `bench.subject` says."""
    return HueySubject(url, int(variant or 1))
