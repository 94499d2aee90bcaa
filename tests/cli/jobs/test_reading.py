"""Read-only commands change nothing, not even the journal mode of a SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.errors import DatabaseError
from server_jobs.stores.sql.store import SqlStore

from tests.cli.shop import Shop
from tests.conformance.examples import job

INSERT = """
INSERT INTO jobs (id, job_name, params, status, created_at, updated_at, completed_at)
VALUES ('a', 'Greet', '{}', 'completed', 0, 0, 0)
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--parked", "--json"],
        ["show", "a"],
        ["schedules"],
        ["prune", "--dry-run", "--older-than", "1d"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_a_file_is_left_as_it_was_by_commands_that_look(shop: Shop, command: list[str], mode: str) -> None:
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute(INSERT)
    before = shop.path.read_bytes()

    assert shop.run(*command).exit_code in (0, 1)

    assert shop.path.read_bytes() == before
    assert list(shop.path.parent.iterdir()) == [shop.path]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "gone.sqlite3")
    for command in (["list"], ["show", "a"], ["schedules"], ["retry", "a"]):
        assert shop.run(*command).exit_code == 3

    assert list(tmp_path.iterdir()) == []


async def test_a_database_that_only_reads_refuses_to_write(shop: Shop) -> None:
    store = SqlStore(SqliteDatabase(shop.path, only_reads=True))
    await store.open()
    try:
        with pytest.raises(DatabaseError, match="readonly"):
            await store.insert([job("a")])
        assert await store.get("a") is None
    finally:
        await store.close()
