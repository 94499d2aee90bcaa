"""A process that makes every kind of call on a SQLite file: `python -m tests.conformance.sqlite.sqlite_hammer FILE NAME
SECONDS`.

Reports that it is ready, waits for a line of input, and inserts, claims and settles for that many seconds. Then it
prints as JSON the inserted and the completed ids, and the longest time of one call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable
from typing import TypeVar

from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import completed, ids, job, request

T = TypeVar("T")


class Hammer:
    """One process among many."""

    def __init__(self, store: SqlStore, name: str) -> None:
        self.inserted: list[str] = []
        self.completed: list[str] = []
        self.longest = 0.0
        self._store = store
        self._name = name

    async def hit(self) -> None:
        """Run two inserts at the same time, and settle a claim."""
        new = [f"{self._name}-{len(self.inserted) + number:05}" for number in range(2)]
        await asyncio.gather(*(self._timed(self._store.insert([job(job_id)])) for job_id in new))
        self.inserted += new
        claims = await self._timed(self._store.claim(request(limit=3)))
        statuses = await self._timed(self._store.settle([completed(claim) for claim in claims]))
        assert None not in statuses
        self.completed += ids(claims)

    async def _timed(self, call: Awaitable[T]) -> T:
        began = time.monotonic()
        answer = await call
        self.longest = max(self.longest, time.monotonic() - began)
        return answer


async def main(path: str, name: str, seconds: float) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    hammer = Hammer(store, name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await hammer.hit()
    await store.close()
    report = {"inserted": hammer.inserted, "completed": hammer.completed, "longest": hammer.longest}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
