"""The stores that the conformance suite runs on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Store
from server_jobs.schema import metadata
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_turso.database import TursoDatabase
from sqlalchemy import create_engine

from tests.conformance.d1_binding import FakeD1
from tests.conformance.hrana_server import HranaServer
from tests.conformance.postgres_databases import empty_database
from tests.conformance.stated_writes import CheckedSqlite

TURSO_TOKEN = f"eyJhbGciOiJFZERTQSJ9.{'e30' * 30}.{'signature' * 10}"  # as long as real ones

_D1_MIGRATIONS = Path(__file__).parents[2] / "generated" / "worker" / "migrations"

OpenStore = Callable[[FakeClock], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def open_memory(clock: FakeClock) -> AsyncIterator[Store]:
    """A store in memory."""
    yield MemoryStore(clock)


@asynccontextmanager
async def open_sqlite(clock: FakeClock) -> AsyncIterator[Store]:
    """A store in a new SQLite file."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "jobs.sqlite3")
        create_sqlite_file(path)
        store = SqlStore(CheckedSqlite(path), clock)
        await store.open()
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def open_d1(clock: FakeClock) -> AsyncIterator[Store]:
    """A store on a strict fake of Cloudflare's D1 binding."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "d1.sqlite3")
        create_d1_file(path)
        binding = FakeD1(path)
        store = SqlStore(D1Database(binding), clock)
        await store.open()
        try:
            yield store
        finally:
            binding.close()


@asynccontextmanager
async def open_postgresql(clock: FakeClock) -> AsyncIterator[Store]:
    """A store in a PostgreSQL database with empty tables."""
    with empty_database() as url:
        store = SqlStore(PostgresDatabase(url), clock)
        await store.open()
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def open_turso(clock: FakeClock) -> AsyncIterator[Store]:
    """A store on a strict fake of a libSQL server."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "turso.sqlite3")
        create_sqlite_file(path)
        with HranaServer(path, TURSO_TOKEN) as server:
            store = SqlStore(TursoDatabase(server.url, auth_token=TURSO_TOKEN), clock)
            await store.open()
            try:
                yield store
            finally:
                await store.close()


STORES: dict[str, OpenStore] = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    "d1": open_d1,
    "turso": open_turso,
    "postgresql": open_postgresql,
}


def create_sqlite_file(path: Path) -> None:
    """Write a SQLite file with our tables and no rows."""
    path.write_bytes(_empty_sqlite_file())


def create_d1_file(path: Path) -> None:
    """Write the file with the migrations of a Worker, whose tables differ."""
    path.write_bytes(_empty_d1_file())


@cache
def _empty_d1_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "empty.sqlite3")
        with closing(sqlite3.connect(path)) as connection:
            for script in sorted(_D1_MIGRATIONS.glob("*.sql")):
                connection.executescript(script.read_text(encoding="utf-8"))
            connection.execute("DELETE FROM cron_jobs")
            connection.commit()
        return path.read_bytes()


@cache
def _empty_sqlite_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "empty.sqlite3")
        engine = create_engine(f"sqlite:///{path}")
        metadata.create_all(engine)
        engine.dispose()
        return path.read_bytes()
