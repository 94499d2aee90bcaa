"""What the stores send to their databases, and what these write, for each step in the life of plain jobs."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.postgres_databases import new_database, postgres_connection

from .figures import assert_figure
from .meters import METERS, steps_of_life

STEPS = ["enqueue", "claim", "settle"]
MANY = 50
ROUNDS = 6


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("name", METERS)
async def test_statements_and_round_trips_of_a_step(name: str, count: int, tmp_path: Path) -> None:
    async with METERS[name](tmp_path) as meter:
        for work in steps_of_life(meter.store, count).values():
            await work()  # connects and prepares
        measured = {step: await meter.measure(work) for step, work in steps_of_life(meter.store, count).items()}

    for step, sent in measured.items():
        assert_figure("statements", f"{name}-{step}-{count}", sent.statements)
        assert_figure("trips", f"{name}-{step}-{count}", sent.trips)


async def test_rows_and_index_entries_that_d1_writes_for_each_step(tmp_path: Path) -> None:
    async with METERS["d1"](tmp_path) as meter:
        for step, work in steps_of_life(meter.store, MANY).items():
            before = _entries(tmp_path / "d1.sqlite3")
            await work()
            written = (_entries(tmp_path / "d1.sqlite3") - before).total()
            assert_figure("rows-written", f"d1-{step}-{MANY}", written)


async def test_wal_bytes_that_postgresql_writes_for_each_step() -> None:
    with new_database() as url, postgres_connection(url) as observer:
        if not observer.execute("SELECT FROM pg_available_extensions WHERE name = 'pg_walinspect'").fetchall():
            pytest.skip("this PostgreSQL has no pg_walinspect")
        observer.execute("CREATE EXTENSION pg_walinspect")
        store = SqlStore(PostgresDatabase(url, max_connections=1))
        await store.open()
        for work in steps_of_life(store, MANY).values():
            await work()  # the tables have pages afterwards
        least = dict.fromkeys(STEPS, sys.maxsize)
        for _ in range(ROUNDS):  # now and then a page of an index is full and splits
            for step, work in steps_of_life(store, MANY).items():
                began = _flushed(observer)
                await work()
                rows = observer.execute(_WRITTEN, {"began": began, "ended": _flushed(observer)}).fetchall()
                least[step] = min(least[step], int(rows[0][0]))
        await store.close()

    for step, written in least.items():
        assert_figure("wal-bytes", f"postgresql-{step}-{MANY}", written)


# Other databases of the server share its log. A full image of a page depends on the time of the last checkpoint.
_WRITTEN = """
SELECT sum(record_length - fpi_length)
FROM pg_get_wal_records_info(%(began)s, %(ended)s),
     (SELECT oid FROM pg_database WHERE datname = current_database()) AS here
WHERE block_ref LIKE '%%/' || here.oid || '/%%'
"""


def _flushed(observer: psycopg.Connection) -> str:
    """Flush the log of the server, and return its end."""
    observer.execute("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '', '')")
    rows = observer.execute("SELECT pg_current_wal_flush_lsn()").fetchall()
    return str(rows[0][0])


def _entries(path: Path) -> Counter[tuple[str, object]]:
    """Return the rows of all tables and the entries of all indexes."""
    found: Counter[tuple[str, object]] = Counter()
    with closing(sqlite3.connect(path)) as connection:
        schema = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type IN ('table', 'index')"
        for name, table, sql in connection.execute(schema).fetchall():
            columns, condition = "*", ""
            if name != table:
                info = connection.execute(f"SELECT name FROM pragma_index_xinfo('{name}') WHERE name IS NOT NULL")
                columns = ", ".join(column for (column,) in info)
                condition = f"WHERE {sql.partition(' WHERE ')[2] or 'true'}" if sql else ""
            found.update((name, row) for row in connection.execute(f"SELECT {columns} FROM {table} {condition}"))
    return found
