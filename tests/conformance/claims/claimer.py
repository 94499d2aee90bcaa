"""A worker process for tests of many processes on one SQLite file: `python -m tests.conformance.claims.claimer FILE`.

Reports that it is ready, waits for a line of input, claims and completes jobs until none is left, and prints their ids.
"""

from __future__ import annotations

import asyncio
import sys

from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Store
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import completed, ids, request


async def claim_until_empty(store: Store) -> list[str]:
    """Claim and complete jobs, a few at a time, until none is left."""
    claimed: list[str] = []
    while claims := await store.claim(request(limit=7)):
        claimed += ids(claims)
        await store.settle([completed(claim) for claim in claims])
    return claimed


async def main(path: str) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(" ".join(await claim_until_empty(store)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
