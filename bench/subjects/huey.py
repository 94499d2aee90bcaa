"""Huey's `SqliteHuey` with Huey's consumer. Variant: worker threads (best of 1, 2, 4: 1)."""

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
        # A claim removes the job from the queue. Its result appears when the job completes.
        unfinished="SELECT {jobs} - count(*) FROM kv",
        results="SELECT count(*) FROM kv",
    )

    def __init__(self, url: str, threads: int) -> None:
        self._threads = threads
        self._app = SqliteHuey("mail", filename=url, timeout=30, fsync=True)  # the default of SQLite, stated explicitly
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
        """Do nothing: Huey connects at the first use."""

    async def put(self, params: Params) -> None:
        self._mail(**params)

    async def work(self, ran: Ran) -> None:
        self._ran.append(ran)
        # The initial delay and the backoff keep their defaults (0.1 s, 1.15). The maximum is 0.1 s instead of 10 s.
        consumer = self._app.create_consumer(workers=self._threads, periodic=False, max_delay=0.1)
        consumer.start()
        await asyncio.Event().wait()


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return HueySubject(url, int(variant or 1))
