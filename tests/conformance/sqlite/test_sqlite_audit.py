"""An entry of the audit log and its change are one transaction: if the change fails, nobody reads about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs.databases.sqlite.connection import Call, Rows
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.errors import DatabaseError
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import failed, job, request
from tests.conformance.stores import create_sqlite_file

ACTIONS: Mapping[str, tuple[str, Callable[[SqlStore], Awaitable[object]]]] = {
    "cancel": ("UPDATE ON jobs", lambda store: store.cancel("pending")),
    "retry": ("UPDATE ON jobs", lambda store: store.retry("failed")),
    "delete": ("DELETE ON jobs", lambda store: store.delete(["pending"])),
    "pause": ("INSERT ON paused_queues", lambda store: store.pause_queue("mail")),
    "resume": ("DELETE ON paused_queues", lambda store: store.resume_queue("bills")),
}


async def refused(folder: Path, action: str) -> Sequence[object]:
    """Return the new entries of the audit log after a change that the database refuses."""
    path = folder / "jobs.sqlite3"
    create_sqlite_file(path)
    event, change = ACTIONS[action]
    store = SqlStore(SqliteDatabase(path), FakeClock())
    await store.open()
    try:
        await store.insert([job("failed", max_attempts=1)])
        (claim,) = await store.claim(request(limit=1))
        await store.settle([failed(claim)])
        await store.insert([job("pending")])
        await store.pause_queue("bills")
        before = await store.audit_log(AuditQuery())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TRIGGER refuse BEFORE {event} BEGIN SELECT RAISE(ABORT, 'refused'); END")
        with pytest.raises(DatabaseError, match="refused"):
            await change(store)
        return [entry for entry in await store.audit_log(AuditQuery()) if entry not in before]
    finally:
        await store.close()


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_change_that_fails_has_no_entry(tmp_path: Path, action: str) -> None:
    assert await refused(tmp_path, action) == []


@pytest.mark.parametrize("action", ["cancel", "pause"])
async def test_an_entry_in_a_transaction_of_its_own_stays(
    tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage of `_moved` and of `_changed`."""
    run = SqliteDatabase.run

    async def one_by_one(self: SqliteDatabase, *calls: Call, look: Call | None = None) -> Rows:
        return [rows for call in calls for rows in await run(self, call, look=look)]

    monkeypatch.setattr(SqliteDatabase, "run", one_by_one)
    assert len(await refused(tmp_path, action)) == 1
