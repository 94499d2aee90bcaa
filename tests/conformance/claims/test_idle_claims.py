"""A claim that will probably find nothing reads first, without a lock."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.connection import Call, Rows
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.options import ConcurrencyLimit
from server_jobs.domain.record import ClaimRequest, KnownJob
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import SEND, ids, job, request
from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file

CRAWL = KnownJob("Crawl", 1, concurrency=ConcurrencyLimit(limit=2))
REQUESTS = [request(SEND), request(CRAWL), request(SEND, CRAWL)]
IDS = ["without limits", "with limits", "both"]


@pytest.mark.parametrize("asked", REQUESTS, ids=IDS)
async def test_an_idle_worker_does_not_wait_for_the_lock_of_sqlite(tmp_path: Path, asked: ClaimRequest) -> None:
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    store = SqlStore(SqliteDatabase(path, busy_timeout=timedelta(milliseconds=50)), FakeClock())
    await store.open()
    assert list(await store.claim(asked)) == []

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert list(await store.claim(asked)) == []

    await store.close()


@pytest.mark.parametrize("asked", REQUESTS, ids=IDS)
async def test_an_idle_worker_locks_no_row_of_postgresql(asked: ClaimRequest) -> None:
    with empty_database() as url, psycopg.connect(url) as other:
        store = SqlStore(PostgresDatabase(url), FakeClock())
        await store.open()
        assert list(await store.claim(asked)) == []

        other.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")  # readers pass this lock
        async with asyncio.timeout(30):
            assert list(await store.claim(asked)) == []

        other.rollback()
        await store.close()


async def test_a_worker_that_knows_of_new_jobs_claims_without_looking_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    store = SqlStore(SqliteDatabase(path), FakeClock())
    await store.open()
    run, looks = store.database.run, list[bool]()

    async def noted(*calls: Call, look: Call | None = None) -> Rows:
        looks.append(look is not None)
        return await run(*calls, look=look)

    assert list(await store.claim(request())) == []
    monkeypatch.setattr(store.database, "run", noted)
    assert list(await store.claim(request())) == []
    assert looks == [True]

    await store.insert([job("a")])
    looks.clear()
    assert ids(await store.claim(request())) == ["a"]
    assert looks == [False]
    await store.close()
