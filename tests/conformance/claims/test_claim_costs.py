"""The cost of a claim does not depend on how many jobs wait that it cannot take.

`make test-long` tests a million jobs of each kind on PostgreSQL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.domain.options import ConcurrencyLimit
from server_jobs.domain.record import ClaimRequest, KnownJob
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.parameters import request_parameters

from tests.conformance.examples import LEASE
from tests.conformance.postgres.test_postgres_plans import explain, is_of_jobs, nodes_of, rows_of
from tests.conformance.postgres_databases import new_database, postgres_connection
from tests.conformance.stores import create_sqlite_file
from tests.sabotage import altered

MANY = 1_000_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 10_000
BATCH = 20
NOW = 1_000_000_000
POSTGRESQL = statements_of("postgresql")
NAMES = ["CLAIM", "DUE", "UPCOMING_WORK", "LIMITED_DUE", "ADOPTABLE", "CLAIM_LIMITED"]
KNOWN = (KnownJob("Free", 1), KnownJob("Crawl", 1, ConcurrencyLimit(limit=5)))


@dataclass(frozen=True)
class Kind:
    """Jobs that the request cannot take; the columns are SQL that numbers them by `i`."""

    queue: str = "'default'"
    version: int = 1
    suffix: str = "''"
    seconds: str = "-9"
    queues: tuple[str, ...] | None = None


KINDS = {
    "other queues": Kind(queue="'a' || (i % 49)", queues=("default",)),
    "paused queues": Kind(queue="'b' || (i % 49)"),
    "unknown names": Kind(suffix="'ed' || (i % 20)"),
    "unknown versions": Kind(version=2),
    "due later": Kind(seconds="9 + i"),
}

_COLUMNS = "id, job_name, params, queue, spec_version, scheduled_for, created_at, updated_at, concurrency_key, rate_key"


def rows_sql(kind: Kind, moment: str, numbers: str, prefix: str) -> list[str]:
    """Return statements that store jobs of this kind, half with limits. `moment` has a placeholder for seconds."""
    return [
        f"INSERT INTO jobs ({_COLUMNS}) SELECT '{prefix}{name}' || i, '{name}' || {kind.suffix}, '{{}}', {kind.queue},"
        f" {kind.version}, {moment % kind.seconds}, {moment % '0'}, {moment % '0'}, {key}, {key} FROM {numbers}"
        for name, key in (("Free", "NULL"), ("Crawl", "''"))
    ]


def parameters_of(kind: Kind) -> dict[str, Value]:
    """Return the parameters of a claim in a database with jobs of this kind."""
    asked = ClaimRequest(known=KNOWN, limit=BATCH, lease=LEASE, queues=kind.queues)
    claim: dict[str, Value] = {
        "limit": BATCH,
        "slots": None,
        "limited": None,
        "lease": 1000,
        "worker_id": None,
        "batch": "0" * 32,
        "now": NOW,
    }
    lanes: dict[str, Value] = {"unlimited": BATCH, "window": 2 * BATCH, "lanes": 8, "start": "8", "beyond": BATCH}
    return {**request_parameters(asked), **claim, **lanes}


def steps_on_sqlite(path: Path, name: str, kind: Kind, count: int) -> int:
    """Return how many hundreds of steps SQLite takes for a statement in a database with that many jobs of a kind."""
    create_sqlite_file(path)
    numbers = "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n)"
    with closing(sqlite3.connect(path)) as connection:
        for sql in rows_sql(kind, f"{NOW} + 1000 * (%s)", numbers % (count / 2), "x"):
            connection.execute(sql)
        for sql in rows_sql(Kind(), f"{NOW} + 1000 * (%s)", numbers % 10, "own"):
            connection.execute(sql)
        connection.execute(f"INSERT INTO paused_queues SELECT 'b' || i, 0 FROM {numbers % 49} UNION SELECT 'b0', 0")
        steps: list[None] = []
        connection.set_progress_handler(lambda: steps.append(None), 100)
        statement: Statement = getattr(statements_of("sqlite"), name)
        connection.execute(statement.sql.replace("{now}", ":now"), parameters_of(kind)).fetchall()
    return len(steps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_sqlite_takes_no_more_steps_among_many_jobs(tmp_path: Path, name: str, kind: str) -> None:
    few, many = (steps_on_sqlite(tmp_path / f"{count}", name, KINDS[kind], count) for count in (100, 5_000))

    assert many <= few * 1.2 + 10


@contextmanager
def postgres_beside(kind: Kind) -> Iterator[psycopg.Connection]:
    """Open a database with many jobs of a kind, and a few that can be claimed."""
    with new_database() as url, postgres_connection(url) as connection:
        connection.execute("ALTER TABLE jobs SET UNLOGGED")
        moment = "now() + interval '1 s' * (%s)"
        for sql in rows_sql(kind, moment, f"generate_series(1, {MANY // 2}) AS i", "x"):
            connection.execute(sql.encode())
        for sql in rows_sql(Kind(), moment, "generate_series(1, 10) AS i", "own"):
            connection.execute(sql.encode())
        connection.execute("INSERT INTO paused_queues SELECT 'b' || i, now() FROM generate_series(0, 48) AS i")
        connection.execute("VACUUM ANALYZE jobs")
        yield connection


@pytest.mark.parametrize("kind", KINDS)
def test_postgresql_touches_no_more_rows_among_many_jobs(kind: str) -> None:
    with postgres_beside(KINDS[kind]) as connection:
        touched = {name: _touched(connection, getattr(POSTGRESQL, name), KINDS[kind]) for name in NAMES}

    assert max(touched.values()) <= 100, touched


def _touched(connection: psycopg.Connection, statement: Statement, kind: Kind) -> float:
    plan = explain(connection, statement.sql, parameters_of(kind), "force_generic_plan")
    return max(rows_of(node) for node in nodes_of(plan) if is_of_jobs(node))


@pytest.mark.parametrize(
    ("kind", "condition", "no_index"),
    [
        ("other queues", "jobs.queue = asked.asked_queue", "jobs.queue || '' = asked.asked_queue"),
        ("unknown names", "jobs.job_name = asked.job_name", "jobs.job_name || '' = asked.job_name"),
        ("unknown versions", "jobs.spec_version = asked.spec_version", "jobs.spec_version + 0 = asked.spec_version"),
        ("due later", "jobs.scheduled_for <= {now}", "jobs.scheduled_for + interval '0' <= {now}"),
    ],
)
def test_a_claim_that_reads_jobs_which_it_cannot_take_is_noticed(kind: str, condition: str, no_index: str) -> None:
    claim = dict(altered(POSTGRESQL, "CLAIM", condition, no_index))["CLAIM"]
    with postgres_beside(KINDS[kind]) as connection:
        assert _touched(connection, claim, KINDS[kind]) > 100


MOST_COST = 25_000
"""Well below `jit_above_cost` (100,000), above which PostgreSQL compiles a statement for longer than it runs."""


@pytest.mark.parametrize("kind", [Kind(), Kind(version=2)], ids=["own jobs", "unknown versions"])
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_postgresql_compiles_no_claim_among_a_million_jobs(kind: Kind, mode: str) -> None:
    with postgres_with_a_million(kind) as connection:
        names = ("CLAIM", "CLAIM_NEXT", "CLAIM_LIMITED", "DUE", "LIMITED_DUE", "UPCOMING_WORK")
        costs = {name: _cost(connection, getattr(POSTGRESQL, name), kind, mode) for name in names}

    assert max(costs.values()) < MOST_COST, costs


def test_without_its_condition_a_claim_among_a_million_jobs_is_estimated_as_expensive() -> None:
    condition = " AND json_typeof(to_json(priority)) = 'number'"
    without = dict(altered(POSTGRESQL, "CLAIM", condition))["CLAIM"]

    with postgres_with_a_million(Kind()) as connection:
        assert _cost(connection, without, Kind(), "force_generic_plan") > MOST_COST


@contextmanager
def postgres_with_a_million(kind: Kind) -> Iterator[psycopg.Connection]:
    """Open a database whose planner expects a million jobs of a kind."""
    with postgres_beside(kind) as connection:
        connection.execute(
            "UPDATE pg_class SET reltuples = reltuples * (1000000 / %s) WHERE relname LIKE 'jobs%%'", [MANY]
        )
        yield connection


def _cost(connection: psycopg.Connection, statement: Statement | None, kind: Kind, mode: str) -> float:
    assert statement is not None
    plan = explain(connection, statement.sql, {**parameters_of(kind), "after": "own"}, mode)
    return float(str(plan["Total Cost"]))
