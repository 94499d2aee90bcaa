"""Stores that count the statements and the round trips of their calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.interfaces import Row, Statement, Store, Value
from server_jobs.domain.record import Claim, ClaimRequest, Completed, KnownJob, NewJob
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_turso.database import TursoDatabase

from tests.conformance.d1_binding import FakeD1, FakeResult
from tests.conformance.hrana_server import HranaServer
from tests.conformance.postgres.relay import Relay, message_of
from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_d1_file, create_sqlite_file

Call = tuple[Statement, Mapping[str, Value]]
Step = Callable[[], Awaitable[object]]


@dataclass
class Count:
    """What a store has sent to its database."""

    statements: int = 0
    trips: int = 0


@dataclass(frozen=True)
class Meter:
    """A store, and the count of what it sent until now."""

    store: Store
    read: Callable[[], Count]

    async def measure(self, step: Step) -> Count:
        """Return the count of one step."""
        before = self.read()
        await step()
        after = self.read()
        return Count(after.statements - before.statements, after.trips - before.trips)


class _CountingSqlite(SqliteDatabase):
    """Counts statements, and the calls of its thread. Each call is one transaction."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.count = Count()

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        self.count.trips += 1
        self.count.statements += len(calls) + (look is not None)
        return await super().run(*calls, look=look)


class _CountingD1(FakeD1):
    """Counts batches. A statement alone is a batch of one."""

    batches = 0

    async def batch(self, statements: object) -> Sequence[FakeResult]:
        self.batches += 1
        return await super().batch(statements)


class _SilentPostgres(PostgresDatabase):
    """Announces no jobs: the calls of a few milliseconds share one NOTIFY, at any time after them."""

    def announce(self) -> None:
        pass


class _CountingRelay(Relay):
    """Counts answers of a PostgreSQL server: one `CommandComplete` per statement, one `ReadyForQuery` per trip."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.count = Count()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await message_of(reader)
            self.count.statements += head[:1] == b"C"
            self.count.trips += head[:1] == b"Z"
            writer.write(head + body)


@asynccontextmanager
async def _on_sqlite(folder: Path) -> AsyncIterator[Meter]:
    create_sqlite_file(folder / "jobs.sqlite3")
    database = _CountingSqlite(folder / "jobs.sqlite3")
    async with _opened(SqlStore(database)) as store:
        yield Meter(store, lambda: Count(database.count.statements, database.count.trips))


@asynccontextmanager
async def _on_d1(folder: Path) -> AsyncIterator[Meter]:
    create_d1_file(folder / "d1.sqlite3")
    binding = _CountingD1(folder / "d1.sqlite3")
    async with _opened(SqlStore(D1Database(binding))) as store:
        yield Meter(store, lambda: Count(binding.queries, binding.batches))
    binding.close()


@asynccontextmanager
async def _on_turso(folder: Path) -> AsyncIterator[Meter]:
    create_sqlite_file(folder / "turso.sqlite3")
    with HranaServer(folder / "turso.sqlite3") as server:
        async with _opened(SqlStore(TursoDatabase(server.url))) as store:
            yield Meter(store, lambda: Count(len(server.statements), server.posts))


@asynccontextmanager
async def _on_postgresql(_: Path) -> AsyncIterator[Meter]:
    with empty_database() as url:
        relay = _CountingRelay(url)
        async with relay.serve() as address, _opened(SqlStore(_SilentPostgres(address, max_connections=1))) as store:
            yield Meter(store, lambda: Count(relay.count.statements, relay.count.trips))


@asynccontextmanager
async def _opened(store: SqlStore) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


METERS = {"sqlite": _on_sqlite, "postgresql": _on_postgresql, "turso": _on_turso, "d1": _on_d1}


def steps_of_life(store: Store, count: int) -> dict[str, Step]:
    """Return the three steps in the life of that many jobs; each one continues the one before."""
    jobs = [NewJob(id=new_job_id(), job_name="Plain", params='{"number":1}') for _ in range(count)]
    request = ClaimRequest(known=(KnownJob("Plain", 1),), limit=count, lease=timedelta(minutes=5))
    claims: list[Claim] = []

    async def claim() -> None:
        claims.extend(await store.claim(request))
        assert len(claims) == count

    return {
        "enqueue": lambda: store.insert(jobs),
        "claim": claim,
        "settle": lambda: store.settle([Completed(id=one.id, token=one.token, result="{}") for one in claims]),
    }
