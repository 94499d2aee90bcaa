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


def steps_on_sqlite(path: Path, name: str, jobs: Iterable[tuple[object, ...]]) -> int:
    """Return how many hundreds of steps SQLite takes for a statement."""
    create_sqlite_file(path)
    with closing(sqlite3.connect(path)) as connection:
        marks = ", ".join("?" * 13)
        connection.executemany(f"INSERT INTO jobs {COLUMNS} VALUES ({marks})", jobs)
        for number in range(3):
            connection.execute("INSERT INTO job_starts VALUES (?, 'Call', 'used up', 999000, 1060000)", (str(number),))
        steps: list[None] = []
        connection.set_progress_handler(lambda: steps.append(None), 100)
        statement: Statement = getattr(statements_of("sqlite"), name)
        connection.execute(statement.sql.replace("{now}", ":now"), PARAMETERS).fetchall()
    return len(steps)


@pytest.mark.parametrize("name", [*STATEMENTS, *ON_SQLITE])
def test_sqlite_takes_no_more_steps_for_a_backlog_a_hundred_times_as_long(tmp_path: Path, name: str) -> None:
    short, long = (
        steps_on_sqlite(tmp_path / f"{backlog}.sqlite3", name, rows(backlog, 1000)) for backlog in (100, 10_000)
    )

    assert long <= short * 1.5 + 10


@pytest.mark.parametrize("name", ["CLAIM", "DUE", "ADOPTABLE", "ADOPT", "LIMITED_DUE", "CLAIM_LIMITED", *ON_SQLITE])
def test_sqlite_passes_by_jobs_that_are_due_later(tmp_path: Path, name: str) -> None:
    def steps(later: int) -> int:
        pending = ("{}", 5, 2_000_000, 1, 1, "pending", 0, None, None)
        jobs = [
            (f"{job_name}{key}{number}", job_name, *pending, key, key)
            for job_name, key in [("Free", None), ("Crawl", None), ("Crawl", "")]
            for number in range(later)
        ]
        return steps_on_sqlite(tmp_path / f"{later}.sqlite3", name, jobs)

    assert steps(3000) <= steps(30) * 1.5 + 10


@pytest.mark.parametrize(
    "name", [name for name in STATEMENTS if getattr(statements_of("postgresql"), name) is not None]
)
def test_postgresql_reads_no_more_rows_for_a_long_backlog(name: str) -> None:
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
        statement: Statement = getattr(statements_of("postgresql"), name)
        sql = statement.sql.replace("{now}", "statement_timestamp()")
        sql = re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", sql.replace("%", "%%"))
        plan: Any = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".encode(), PARAMETERS).fetchall()[0][0]
        connection.rollback()

    assert most_rows_of_jobs(plan[0]["Plan"]) < 500


def most_rows_of_jobs(node: dict[str, Any]) -> float:
    """Return the most rows that one node of a plan read from the table `jobs` or its indexes."""
    below = [most_rows_of_jobs(child) for child in node.get("Plans", [])]
    is_read = node.get("Relation Name") == "jobs" or "jobs_" in node.get("Index Name", "")
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return max([read * node["Actual Loops"] if is_read else 0, *below])
