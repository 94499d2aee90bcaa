"""The documented queries for statistics return the right counts on each database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from server_jobs.schema import jobs, metadata
from sqlalchemy import create_engine, insert

from tests.generator.databases import postgres_database

from .pages import ROOT, block

PAGE = ROOT / "docs/how-to/from-typescript.md"
NOW = datetime.now(UTC)
Rows = list[tuple[object, ...]]


def queries(database: str) -> dict[str, str]:
    """Return the queries for a database by the comment above each."""
    parts = re.findall(r"-- ([^\n]+)\n(.*?);\n", block(PAGE, "sql", database), re.DOTALL)
    return {name.partition(",")[0]: sql for name, sql in parts}


def fill(url: str) -> None:
    """Store three jobs of an hour, one of which failed, and one failed job of yesterday."""
    engine = create_engine(url)
    metadata.create_all(engine)
    rows = [
        ("a", "completed", timedelta(minutes=10), timedelta(seconds=2)),
        ("b", "completed", timedelta(minutes=20), timedelta(seconds=4)),
        ("c", "failed", timedelta(minutes=30), timedelta(seconds=1)),
        ("d", "failed", timedelta(days=1), timedelta(seconds=7)),
        ("e", "pending", timedelta(minutes=5), None),
    ]
    with engine.begin() as connection:
        for job_id, status, age, duration in rows:
            created = NOW - age
            completed = None if duration is None else created + duration
            values = {"id": job_id, "job_name": "SendEmail", "params": "{}", "status": status}
            times = {"created_at": created, "updated_at": created, "scheduled_for": created, "completed_at": completed}
            connection.execute(insert(jobs).values(**values, **times))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def answers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Rows]]:
    if request.param == "sqlite":
        fill(f"sqlite:///{tmp_path}/jobs.sqlite3")
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
            yield {name: connection.execute(sql).fetchall() for name, sql in queries("sqlite").items()}
        return
    with postgres_database() as url:
        fill(url.replace("postgresql://", "postgresql+psycopg://"))
        with psycopg.connect(url) as postgres:
            yield {name: postgres.execute(sql.encode()).fetchall() for name, sql in queries("postgresql").items()}


def test_durations_are_averages_in_milliseconds(answers: dict[str, Rows]) -> None:
    found = {
        (str(status), count): float(Decimal(str(average))) for _, status, count, average in answers["Job statistics"]
    }
    assert found == {("completed", 2): pytest.approx(3000), ("failed", 2): pytest.approx(4000)}


def test_the_failure_rate_is_that_of_the_last_hour(answers: dict[str, Rows]) -> None:
    ((rate,),) = answers["Failure rate of the last hour"]
    assert float(Decimal(str(rate))) == 25


def test_recent_jobs_have_readable_times(answers: dict[str, Rows]) -> None:
    for row in answers.get("Recent jobs", []):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(row[4]))


def test_the_query_of_the_original_gives_null_here(tmp_path: Path) -> None:
    fill(f"sqlite:///{tmp_path}/jobs.sqlite3")
    original = "SELECT AVG(CAST((julianday(completed_at) - julianday(created_at)) * 86400000 AS INTEGER)) FROM jobs"
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        assert connection.execute(original).fetchall() == [(None,)]
