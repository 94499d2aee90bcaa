"""A power cut on SQLite may undo claims and leases, whose workers die too, but never a job or an outcome."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from server_jobs.databases.sqlite.connection import SqliteConnection, Work
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record import Heartbeat
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import LEASE, completed, failed, ids, job, request
from tests.conformance.stores import create_sqlite_file
from tests.conformance.suite.test_limits import limited

SET = "PRAGMA synchronous = "


class Commits:
    """How the connection commits now: FULL flushes to the disk."""

    mode = ""

    def note(self, sql: str) -> None:
        """Record a statement."""
        if sql.startswith(SET):
            self.mode = sql.removeprefix(SET)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    """Record the commits of connections that are opened from now on."""
    seen, connect = Commits(), SqliteConnection._connect

    def watched(self: SqliteConnection) -> None:
        real = sqlite3.connect

        def connected(*args: object, **options: object) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*args, **options)  # type: ignore[call-overload]
            connection.set_trace_callback(seen.note)
            return connection

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite3, "connect", connected)
            connect(self)

    monkeypatch.setattr(SqliteConnection, "_connect", watched)
    return seen


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqlStore]:
    path = folder / "jobs.sqlite3"
    create_sqlite_file(path)
    store = SqlStore(SqliteDatabase(path), FakeClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_jobs_and_outcomes_are_flushed_to_the_disk_claims_and_leases_go_with_the_next_of_them(
    tmp_path: Path, commits: Commits
) -> None:
    async with opened(tmp_path) as store:
        await store.insert([job("a"), job("b", unique_key="b")])
        await store.insert([job("c", max_attempts=1), job("d"), job("e")])
        assert commits.mode == "FULL"

        claims = await store.claim(request(limit=4))
        assert commits.mode == "NORMAL"
        await store.settle([completed(claims[0])])
        assert commits.mode == "FULL"
        await store.renew([Heartbeat(id="b", token=claims[1].token, progress=5, message=None)], LEASE)
        assert commits.mode == "NORMAL"
        await store.settle([failed(claims[1]), completed(claims[2])])
        assert commits.mode == "FULL"
        await store.claim(request(limit=1))
        await store.cancel("d")
        assert commits.mode == "FULL"


async def test_a_claim_that_shares_a_commit_with_a_job_is_flushed_with_it(tmp_path: Path, commits: Commits) -> None:
    async with opened(tmp_path) as store:
        await store.insert([job("a")])
        await store.claim(request(limit=1))
        await store.insert([job("b")])
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite3", isolation_level=None)) as neighbour:
            neighbour.execute("BEGIN IMMEDIATE")
            together = asyncio.gather(store.claim(request(limit=1)), store.insert([job("c")]))
            await asyncio.sleep(0.02)
            neighbour.execute("COMMIT")
            claims, _ = await together

        assert ids(claims) == ["b"]
        assert commits.mode == "FULL"


@pytest.mark.parametrize("is_flushed", [True, False], ids=["flushed", "sabotage"])
async def test_a_claim_of_a_job_with_a_limit_is_flushed(
    tmp_path: Path, commits: Commits, monkeypatch: pytest.MonkeyPatch, is_flushed: bool
) -> None:
    """After a power cut the running jobs must still count."""
    if not is_flushed:
        monkeypatch.setattr(Work, "must_last", False)
    async with opened(tmp_path) as store:
        await store.insert([job("a", concurrency_key="ada")])
        (claim,) = await store.claim(request(limited(1)))
        assert claim.id == "a"
    assert (commits.mode == "FULL") is is_flushed


async def test_jobs_whose_params_together_are_longer_than_any_text_are_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = SqliteConnection._connect

    def limited(self: SqliteConnection) -> None:
        connect(self)
        assert self._connection is not None
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 50_000)

    monkeypatch.setattr(SqliteConnection, "_connect", limited)
    async with opened(tmp_path) as store:
        params = f'"{"x" * 20_000}"'
        for name in "abc":
            await store.insert([job(name, params=params)])

        claims = await store.claim(request(limit=3))

        assert [(claim.id, claim.params) for claim in claims] == [(name, params) for name in "abc"]
        assert list(await store.claim(request(limit=3))) == []
