"""A claim with limits does a bounded amount of work for any backlog behind a limit that is reached."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from server_jobs.domain.interfaces import Statement
from server_jobs.stores.sql.dialect import statements_of

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file
from tests.sabotage import altered

STATEMENTS = [
    "CLAIM_LIMITED",
    "LIMITED_DUE",
    "ADOPTABLE",
    "ADOPT",
    "CLAIM",
    "DUE",
    "DISMISS",
    "RECORD_STARTS",
]
ON_SQLITE = ["CLAIMED", "PACKED_CLAIMED", "COMPLETE", "PACKED_COMPLETABLE", "PACKED_COMPLETE"]
"""The statements that return claimed or completed jobs there."""
COLUMNS = (
    "(id, job_name, params, priority, scheduled_for, created_at, updated_at, status, attempt_count, fencing_token, "
    "worker_expires_at, concurrency_key, rate_key)"
)
PARAMETERS: dict[str, object] = {
    "known": json.dumps([["Crawl", 1, 2, None, None], ["Call", 1, None, 3, 60_000], ["Free", 1, None, None, None]]),
    "queues": None,
    "limit": 10,
    "slots": None,
    "limited": None,
    "lease": 1000,
    "worker_id": None,
    "unlimited": 10,
    "batch": "0" * 32,
    "window": 32,
    "lanes": 8,
    "start": "8",
    "now": 1_000_000,
    "beyond": 31,
    "items": json.dumps({f"r{number}": f"{'0' * 32}1" for number in range(2)}),
}


def rows(backlog: int, moment: object) -> Iterator[tuple[object, ...]]:
    """Yield a backlog of a full key, one under a used-up rate, then other keys, and jobs without limits."""
    number = count()

    def row(job_name: str, priority: int, key: str | None, rate_key: str | None) -> tuple[object, ...]:
        job_id = f"{next(number):07}"
        return (job_id, job_name, "{}", priority, moment, moment, moment, "pending", 0, None, None, key, rate_key)

    for _ in range(backlog):
        yield row("Crawl", 5, "full", "")
        yield row("Call", 4, "", "used up")
    for key in range(20):
        yield row("Crawl", 0, f"key {key}", "")
    for _ in range(20):
        yield row("Free", 0, None, None)
    for running in range(2):
        job_id, token = f"r{running}", f"{'0' * 32}r{running}"
        yield (job_id, "Crawl", "{}", 0, moment, moment, moment, "running", 1, token, moment, "full", "")


def sqlite_file(path: Path, jobs: Iterable[tuple[object, ...]]) -> Path:
    """Write a file with these jobs, for all statements."""
    create_sqlite_file(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        marks = ", ".join("?" * 13)
        connection.executemany(f"INSERT INTO jobs {COLUMNS} VALUES ({marks})", jobs)
        for number in range(3):
            connection.execute("INSERT INTO job_starts VALUES (?, 'Call', 'used up', 999000, 1060000)", (str(number),))
    return path


def steps_on_sqlite(path: Path, name: str, statement: Statement | None = None, **parameters: object) -> int:
    """Return how many hundreds of steps SQLite takes for a statement of the store, or this one. Commit nothing."""
    with closing(sqlite3.connect(path)) as connection:
        steps: list[None] = []
        connection.set_progress_handler(lambda: steps.append(None), 100)
        run: Statement = statement or getattr(statements_of("sqlite"), name)
        connection.execute(run.sql.replace("{now}", ":now"), {**PARAMETERS, **parameters}).fetchall()
    return len(steps)


@pytest.fixture(scope="module")
def backlogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a file with a short backlog, and one with a long backlog."""
    folder = tmp_path_factory.mktemp("backlogs")
    short, long = (sqlite_file(folder / f"{backlog}.sqlite3", rows(backlog, 1000)) for backlog in (100, 10_000))
    return short, long


@pytest.fixture(scope="module")
def laters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a file with a few jobs that are due later, and one with many."""

    def jobs(later: int) -> Iterator[tuple[object, ...]]:
        pending = ("{}", 5, 2_000_000, 1, 1, "pending", 0, None, None)
        for job_name, key in [("Free", None), ("Crawl", None), ("Crawl", "")]:
            for number in range(later):
                yield (f"{job_name}{key}{number}", job_name, *pending, key, key)

    folder = tmp_path_factory.mktemp("laters")
    few, many = (sqlite_file(folder / f"{later}.sqlite3", jobs(later)) for later in (30, 3000))
    return few, many


@pytest.mark.parametrize("name", [*STATEMENTS, *ON_SQLITE])
def test_sqlite_takes_no_more_steps_for_a_backlog_a_hundred_times_as_long(
    backlogs: tuple[Path, Path], name: str
) -> None:
    short, long = (steps_on_sqlite(path, name) for path in backlogs)

    assert long <= short * 1.5 + 10


@pytest.mark.parametrize("name", ["CLAIM", "DUE", "ADOPTABLE", "ADOPT", "LIMITED_DUE", "CLAIM_LIMITED", *ON_SQLITE])
def test_sqlite_passes_by_jobs_that_are_due_later(laters: tuple[Path, Path], name: str) -> None:
    few, many = (steps_on_sqlite(path, name) for path in laters)

    assert many <= few * 1.5 + 10


FULL_LANES = 200


def full_lanes(waiting: int) -> Iterator[tuple[object, ...]]:
    """Yield two running jobs of each lane, and the jobs that wait there."""
    for lane in range(FULL_LANES):
        for number in range(2):
            job_id = f"r{lane}-{number}"
            yield (job_id, "Crawl", "{}", 0, 1, 1, 1, "running", 1, f"{0:032}{job_id}", 1, f"key {lane:03}", "")
    for number in range(waiting):
        for lane in range(FULL_LANES):
            job_id = f"{number}-{lane}"
            yield (job_id, "Crawl", "{}", 0, 1000, 1, 1, "pending", 0, None, None, f"key {lane:03}", "")


def test_sqlite_reads_no_waiting_jobs_of_full_lanes(tmp_path: Path) -> None:
    one, ten = (sqlite_file(tmp_path / f"{waiting}.sqlite3", full_lanes(waiting)) for waiting in (1, 10))

    def growth(statement: Statement | None) -> float:
        few, many = (steps_on_sqlite(path, "CLAIM_LIMITED", statement, lanes=FULL_LANES) for path in (one, ten))
        return many / few

    assert growth(None) < 1.2
    joined = "open_lanes AS MATERIALIZED ("
    for _, statement in altered(statements_of("sqlite"), "CLAIM_LIMITED", joined, "open_lanes AS ("):
        assert growth(statement) > 1.5  # the steps show the difference


def test_postgresql_reads_no_more_rows_for_a_long_backlog() -> None:
    with empty_database() as url, psycopg.connect(url) as connection:
        moment = "2020-01-01T00:00:00Z"
        marks = ", ".join(["%s"] * 13)
        connection.cursor().executemany(
            f"INSERT INTO jobs {COLUMNS} VALUES ({marks})".encode(), list(rows(5_000, moment))
        )
        for number in range(3):
            connection.execute(
                "INSERT INTO job_starts VALUES (%s, 'Call', 'used up', now(), now() + interval '1 minute')", (number,)
            )
        read = {
            name: _rows_read(connection, getattr(statements_of("postgresql"), name))
            for name in STATEMENTS
            if getattr(statements_of("postgresql"), name) is not None
        }
        connection.rollback()

    assert max(read.values()) < 500, read


def _rows_read(connection: psycopg.Connection, statement: Statement) -> float:
    """Return the most rows that a statement reads, and undo its changes."""
    sql = statement.sql.replace("{now}", "statement_timestamp()")
    sql = re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", sql.replace("%", "%%"))
    with connection.transaction(force_rollback=True):
        plan: Any = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".encode(), PARAMETERS).fetchall()[0][0]
    return most_rows_of_jobs(plan[0]["Plan"])


def most_rows_of_jobs(node: dict[str, Any]) -> float:
    """Return the most rows that one node of a plan read from the table `jobs` or its indexes."""
    below = [most_rows_of_jobs(child) for child in node.get("Plans", [])]
    is_read = node.get("Relation Name") == "jobs" or "jobs_" in node.get("Index Name", "")
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return max([read * node["Actual Loops"] if is_read else 0, *below])
