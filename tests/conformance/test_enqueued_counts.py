"""The cost of the counts of enqueued jobs depends on the recent jobs only. `make test-long`: 1,000,000 older ones."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from server_jobs.databases.postgres.driver import session_settings
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.testing import FakeClock

from tests.conformance.postgres.test_postgres_plans import explain, is_of_jobs, nodes_of, rows_of
from tests.conformance.postgres_databases import new_database, postgres_connection
from tests.conformance.stores import STORES, create_sqlite_file
from tests.conformance.suite import test_statistics as suite
from tests.sabotage import sabotage

MANY = 1_000_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 20_000
RECENT = 30
DIALECTS = {"sqlite": statements_of("sqlite"), "postgresql": statements_of("postgresql")}

_QUERY = DIALECTS["sqlite"].ENQUEUED_COUNTS.sql.replace("{now}", f"(SELECT {SQLITE_NOW})")
_COLUMNS = "id, job_name, queue, params, status, created_at, updated_at"
_OF = "'Job' || (i - i / 5 * 5), 'queue' || (i - i / 2 * 2), '{}', 'completed'"
_ON_SQLITE = f"""
INSERT INTO jobs ({_COLUMNS})
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count),
       moments AS (SELECT i, {SQLITE_NOW} - :age AS ms FROM n)
SELECT printf('%08x-%04x-7000-8000-%012x', ms / 65536, ms % 65536, i), {_OF}, ms, ms FROM moments
"""
_ON_POSTGRES = f"""
INSERT INTO jobs ({_COLUMNS})
SELECT overlay(lpad(to_hex(ms), 12, '0') PLACING '-' FROM 9 FOR 0) || '-7000-8000-' || lpad(to_hex(i), 12, '0'), {_OF},
       to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0)
  FROM (SELECT i, CAST(extract(epoch FROM now()) * 1000 AS bigint) - %s AS ms
          FROM generate_series(1, %s) AS i) AS moments
"""
_DAY, _SECOND = 86_400_000, 1000


@pytest.mark.parametrize("is_analyzed", [True, False])
def test_sqlite_searches_the_primary_key(tmp_path: Path, *, is_analyzed: bool) -> None:
    few, many = (_steps_on_sqlite(tmp_path / f"{old}", old, is_analyzed=is_analyzed) for old in (100, MANY))

    assert many <= few * 1.1 + 2


def _steps_on_sqlite(path: Path, old: int, *, is_analyzed: bool) -> int:
    """Return how many tens of steps SQLite takes among that many old jobs."""
    create_sqlite_file(path)
    with closing(sqlite3.connect(path)) as connection:
        for count, age in ((old, _DAY), (RECENT, _SECOND)):
            connection.execute(_ON_SQLITE, {"count": count, "age": age})
        if is_analyzed:
            connection.execute("ANALYZE")
        (plan, *_) = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {_QUERY}")]
        assert plan == "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id>?)"
        steps: list[None] = []
        connection.set_progress_handler(lambda: steps.append(None), 10)
        rows = connection.execute(_QUERY).fetchall()
    assert sum(row[2] for row in rows) == RECENT
    return len(steps)


@pytest.fixture(params=["no job", "all jobs", "recent jobs"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """Yield a database with many old jobs and some recent ones, and with statistics of these jobs."""
    with new_database() as url, postgres_connection(url) as connection:
        connection.execute("ALTER TABLE jobs SET UNLOGGED")
        connection.execute("ALTER TABLE jobs SET (autovacuum_enabled = false)")
        if request.param == "no job":
            connection.execute("VACUUM ANALYZE jobs")
        connection.execute(_ON_POSTGRES.encode(), (_SECOND, RECENT))
        if request.param == "recent jobs":
            connection.execute("VACUUM ANALYZE jobs")
        connection.execute(_ON_POSTGRES.encode(), (_DAY, MANY))
        if request.param == "all jobs":
            connection.execute("VACUUM ANALYZE jobs")
        connection.execute(session_settings(connection.info.backend_pid).encode())
        yield connection


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_postgresql_reads_a_range_of_the_primary_key(connection: psycopg.Connection, mode: str) -> None:
    plan = explain(connection, DIALECTS["postgresql"].ENQUEUED_COUNTS.sql, {}, mode)

    reads = [node for node in nodes_of(plan) if is_of_jobs(node)]
    assert {node.get("Index Name") for node in reads} - {None} == {"jobs_pkey"}, plan
    assert max(map(rows_of, reads)) == RECENT


@pytest.mark.parametrize("kind", DIALECTS)
async def test_without_room_for_clocks_that_differ_a_job_is_missed(
    kind: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, DIALECTS[kind], "ENQUEUED_COUNTS", "120000", "60000")
    async with STORES[kind](clock) as opened:
        with pytest.raises(AssertionError):
            await suite.test_the_time_of_the_database_decides_which_jobs_are_recent(opened, clock)
