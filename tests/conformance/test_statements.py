"""Each statement by its name: whether it writes, and the indexes of `jobs` that its plan uses on each dialect."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from server_jobs.databases.postgres.connection import positional
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.postgres.driver import session_settings
from server_jobs.domain.interfaces import Statement
from server_jobs.stores.sql.dialect import DialectName, statements_of
from server_jobs.stores.sql.parameters import filled

from tests.conformance.postgres_databases import new_database, postgres_connection
from tests.conformance.stores import create_sqlite_file

PRIMARY = "primary key"
EITHER = "limited_group or limited_lane"
"""One of two indexes that cost the same."""
INDEXES: dict[str, tuple[str, str]] = {
    "CLAIMED": ("lease", ""),
    "PACKED_CLAIMED": ("lease", ""),
    "PACKED_COMPLETABLE": ("primary key", ""),
    "PACKED_COMPLETE": ("primary key", ""),
    "KEY_OWNERS": ("primary key, unique_key", "primary key, unique_key"),
    "REPLACED_JOBS": ("replaced", "lease"),
    "SUPERSEDE": ("primary key, unique_key", "primary key, unique_key"),
    "AUDIT_REPLACE": ("primary key, unique_key", "primary key, unique_key"),
    "REPLACE": ("", "primary key"),
    "REPLACE_ONE": ("", "primary key"),
    "START": ("replaced", "replaced"),
    "CLAIM": ("primary key, replaced, unlimited_group", "primary key, replaced, unlimited_group"),
    "CLAIM_NEXT": ("", "primary key, replaced, unlimited_group"),
    "DUE": ("replaced, unlimited_group", "replaced, unlimited_group"),
    "CLAIM_ONE": ("primary key, replaced", "primary key, replaced"),
    "RELEASE_UNANSWERED": ("lease", "lease, primary key"),
    "RENEW": ("primary key", "primary key"),
    "SETTLE": ("primary key", "primary key"),
    "SETTLE_ONE": ("primary key", ""),
    "COMPLETE": ("primary key", "primary key"),
    "EXPIRE": ("lease", "lease, primary key"),
    "ANY_OVERDUE": ("lease", ""),
    "ENDED_BATCHES": ("batch, completion, lease", "batch, lease"),
    "END_BATCHES": ("batch, completion, lease", "batch, lease, primary key"),
    "COUNT_BATCH": ("batch, lease, primary key", "batch, lease, primary key"),
    "BATCH_JOBS": ("batch, lease", "batch, lease"),
    "CANCEL_LATE": ("primary key, start_before", "primary key, start_before"),
    "CANCEL_LATE_OWNERS": ("unique_key", "primary key, start_before"),
    "CANCEL": ("primary key", "primary key"),
    "RETRY": ("primary key, unique_key", "primary key, unique_key"),
    "REPAIR": ("primary key, unique_key", "primary key, unique_key"),
    "DELETE": ("primary key", "primary key"),
    "STATUSES": ("primary key", "primary key"),
    "AUDIT_CANCEL": ("primary key", ""),
    "AUDIT_RETRY": ("primary key, unique_key", ""),
    "AUDIT_REPAIR": ("primary key, unique_key", "primary key, unique_key"),
    "AUDIT_DELETE": ("primary key", ""),
    "FIND_RANGE": ("primary key", "primary key"),
    "FIND_RANGE_BACKWARDS": ("primary key", "primary key"),
    "FIND": ("primary key", "primary key"),
    "FIND_BACKWARDS": ("primary key", "primary key"),
    "SEARCH_RANGE": ("primary key", "primary key"),
    "SEARCH_RANGE_BACKWARDS": ("primary key", "primary key"),
    "SEARCH_CANDIDATES_RANGE": ("primary key", "primary key"),
    "SEARCH_CANDIDATES_RANGE_BACKWARDS": ("primary key", "primary key"),
    "SEARCH": ("primary key", "primary key"),
    "SEARCH_CANDIDATES": ("primary key", "primary key"),
    "GET": ("primary key", "primary key"),
    "LIST": ("primary key", "primary key"),
    "LIST_GIVEN": ("primary key", "primary key"),
    "SUMMARY": ("primary key", "primary key"),
    "LIST_SUMMARIES": ("primary key", "primary key"),
    "LIST_GIVEN_SUMMARIES": ("primary key", "primary key"),
    "PAGE_OF_SCAN": ("primary key", "primary key"),
    "END_OF_SCAN": ("primary key", "primary key"),
    "PAGE_OF_INDEX": ("limited_group, primary key, unlimited_group", f"{EITHER}, primary key, unlimited_group"),
    "COUNT_OF_INDEX": ("limited_group, unlimited_group", f"{EITHER}, unlimited_group"),
    "IDS_OF_INDEX": ("limited_group, unlimited_group", f"{EITHER}, unlimited_group"),
    "COUNT_NEWEST": ("primary key", "primary key"),
    "COUNT_DUE": (f"{EITHER}, replaced, unlimited_group", f"{EITHER}, replaced, unlimited_group"),
    "PENDING_WORK": (
        "batch, completion, lease, limited_group, limited_lane, replaced, start_before, unlimited_group",
        f"batch, lease, {EITHER}, replaced, start_before, unlimited_group",
    ),
    "UPCOMING_WORK": (
        "lease, limited_group, replaced, unlimited_group",
        "lease, limited_group, replaced, unlimited_group",
    ),
    "FIRE": ("unique_key", "unique_key"),
    "FIRED": ("primary key", "primary key"),
    "ADOPTABLE": ("replaced, unlimited_group", "replaced, unlimited_group"),
    "ADOPT": ("primary key, replaced, unlimited_group", "primary key, replaced, unlimited_group"),
    "ADOPT_RUNNING": ("lease", "lease, primary key"),
    "DISMISS": ("limited_lane, primary key", "limited_lane, primary key"),
    "LIMITED_DUE": ("limited_group, replaced", "limited_group, replaced"),
    "CLAIM_LIMITED": (
        "limited_group, limited_lane, limited_running, primary key, replaced, unlimited_group",
        "limited_group, limited_lane, limited_running, primary key, replaced, unlimited_group",
    ),
    "RECORD_STARTS": ("limited_running", ""),
    "PRUNE_RANGE": ("primary key", "primary key"),
    "PRUNE": ("primary key", "primary key"),
    "PRUNABLE": ("primary key", "primary key"),
    "PRUNE_MOVE": ("primary key", "primary key"),
    "PRUNE_ATTEMPTS": ("primary key", ""),
    "DELETE_ATTEMPTS": ("primary key", ""),
    "RECORD_ATTEMPTS": ("primary key", ""),
    "RECORD_EXPIRED": ("lease", ""),
    "QUEUE_STATES": (
        "failed, lease, limited_group, parked, unlimited_group",
        f"failed, lease, {EITHER}, parked, unlimited_group",
    ),
    "FAILURE_GROUPS": ("failed, primary key", "failed, primary key"),
    "ENQUEUED_COUNTS": ("primary key", "primary key"),
    "AHEAD": ("limited_group, unlimited_group", "limited_group, unlimited_group"),
    "HOLDERS": ("limited_running", "limited_running"),
    "HELD_JOBS": ("primary key", "lease"),
    "WORKERS": ("lease", "lease"),
}
"""The indexes of the table `jobs` that the plan of a statement uses, on SQLite and on PostgreSQL."""
SCANS = {"COUNT", "PROBE"}
"""Statements that read the whole table, or only its columns."""
UNINDEXED = {"PACKED_INSERTED"}
"""Statements that read rows by their place."""
TIED = {
    "sqlite": {"COUNT_DUE"},
    "postgresql": {"COUNT_DUE", "PAGE_OF_INDEX", "COUNT_OF_INDEX", "IDS_OF_INDEX", "PENDING_WORK", "QUEUE_STATES"},
}
"""Statements for which the two indexes of pending jobs with limits cost the same. Their other indexes are certain."""


def statements(dialect: DialectName, now: str) -> Iterator[tuple[str, Statement]]:
    """Yield each statement, with the parts that are known only at run time."""
    of = statements_of(dialect)
    for name, statement in vars(of).items():
        if isinstance(statement, Statement) and name != "CREATE_NAME_TABLE":  # it writes only if the table is missing
            parts = {"view": "cron_jobs", "column": "name", "ids": of.fragments["ids_pending"]}
            yield name, filled(statement, **parts, now=now)


class AnyParameters(dict[str, None]):
    def __missing__(self, name: str) -> None:
        return None


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        connection.execute(statements_of("sqlite").CREATE_NAME_TABLE.sql)
        yield connection


@pytest.fixture(scope="module")
def postgresql() -> Iterator[psycopg.Connection]:
    """Yield a connection with the settings of the store."""
    with new_database() as url, postgres_connection(url) as connection:
        connection.prepare_threshold = None  # the test prepares them itself
        connection.execute(session_settings(connection.info.backend_pid).encode())
        connection.execute(statements_of("postgresql").CREATE_NAME_TABLE.sql.encode())
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(
            "INSERT INTO jobs (id, job_name, params, status, unique_key, concurrency_key, rate_key, queue, created_at,"
            " updated_at)"
            " SELECT i, 'SendEmail', '',"
            " (ARRAY['pending', 'completed', 'failed', 'cancelled'])[1 + i % 4], i, key, key, 'queue' || i % 7,"
            " now(), now()"
            " FROM generate_series(1, 5000) AS i,"
            " LATERAL (SELECT CASE i % 3 WHEN 0 THEN 'key' || i % 5 END) AS limits (key)"
        )
        connection.execute("VACUUM ANALYZE jobs")
        yield connection


def test_a_statement_writes_on_sqlite_if_its_header_says_so(sqlite: sqlite3.Connection) -> None:
    wrong: list[str] = []
    for name, statement in statements("sqlite", "0"):
        program = sqlite.execute(f"EXPLAIN {statement.sql}", AnyParameters()).fetchall()
        writes = any(opcode == "Transaction" and begins_write for _, opcode, _, begins_write, *_ in program)
        wrong += [name] if writes != statement.writes else []
    assert wrong == []


def test_a_statement_writes_on_postgresql_if_its_header_says_so(postgresql: psycopg.Connection) -> None:
    wrong: list[str] = []
    for name, statement in statements("postgresql", PostgresDatabase.now):
        prepare(postgresql, statement)
        writes = False
        with postgresql.transaction(force_rollback=True):
            postgresql.execute("SET TRANSACTION READ ONLY")
            try:
                postgresql.execute(execute(statement))
            except psycopg.errors.ReadOnlySqlTransaction:
                writes = True
        wrong += [name] if writes != statement.writes else []
    assert wrong == []


def prepare(connection: psycopg.Connection, statement: Statement) -> None:
    connection.execute("DEALLOCATE ALL")
    connection.execute(f"PREPARE one AS {positional(statement.sql)[0]}".encode())


def execute(statement: Statement) -> bytes:
    nulls = ", ".join("NULL" for _ in positional(statement.sql)[1])
    return (f"EXECUTE one ({nulls})" if nulls else "EXECUTE one").encode()


def test_each_statement_uses_the_indexes_of_the_table_on_sqlite(sqlite: sqlite3.Connection) -> None:
    used: dict[str, str] = {}
    for name, statement in statements("sqlite", "0"):
        plan = [str(row[3]) for row in sqlite.execute(f"EXPLAIN QUERY PLAN {statement.sql}", AnyParameters())]
        subqueries = {step.split()[1] for step in plan if step.startswith(("CO-ROUTINE ", "MATERIALIZE "))}
        scanned = {step[5:] for step in plan if re.fullmatch(r"SCAN (jobs|one|other|stored|owner)", step)} - subqueries
        assert bool(scanned) <= (name in SCANS | UNINDEXED), (name, plan)
        used |= named(name, re.findall(r"INDEX (jobs_\w+|sqlite_autoindex_jobs_1)\b", "\n".join(plan)))
    assert tied("sqlite", used) == {name: one for name, (one, _) in INDEXES.items() if one}


def test_each_statement_uses_the_indexes_of_the_table_on_postgresql(postgresql: psycopg.Connection) -> None:
    used: dict[str, str] = {}
    for name, statement in statements("postgresql", PostgresDatabase.now):
        prepare(postgresql, statement)
        row = postgresql.execute(b"EXPLAIN (FORMAT JSON) " + execute(statement)).fetchone()
        assert row is not None
        nodes = list(nodes_of(cast("list[Mapping[str, Any]]", row[0])[0]["Plan"]))
        scanned = [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "jobs"]
        assert bool(scanned) <= (name in SCANS), (name, json.dumps(row[0]))
        used |= named(name, [str(node.get("Index Name", "")) for node in nodes])
    assert tied("postgresql", used) == {name: one for name, (_, one) in INDEXES.items() if one}


def nodes_of(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes_of(child)


def named(name: str, indexes: list[str]) -> dict[str, str]:
    """Return the indexes of `jobs` as a text of their short names, for a statement that uses some."""
    of_jobs = {one for one in indexes if one.startswith(("jobs_", "sqlite_autoindex_jobs_"))}
    short = {"jobs_pkey": PRIMARY, "sqlite_autoindex_jobs_1": PRIMARY}
    return {name: ", ".join(sorted(short.get(one, one.removeprefix("jobs_")) for one in of_jobs))} if of_jobs else {}


def tied(dialect: DialectName, used: Mapping[str, str]) -> dict[str, str]:
    """Return the indexes of each statement, with `EITHER` in those that have the choice."""
    return {name: _tied(one) if name in TIED[dialect] else one for name, one in used.items()}


def _tied(indexes: str) -> str:
    return ", ".join(sorted({EITHER if one in EITHER.split(" or ") else one for one in indexes.split(", ")}))
