"""The documented queries for statistics return the right numbers on each database."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from server_jobs.schema import job_attempts, jobs
from sqlalchemy import create_engine, insert

from tests.generator.databases import postgres_database

from .pages import ROOT, block
from .reader import shell

PAGE = ROOT / "docs/how-to/statistics.md"
HOUR = (datetime.now(UTC) - timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
Rows = list[tuple[object, ...]]

JOBS = [
    # id, address, status, error class, seconds after HOUR: enqueued, due, started, ended
    ("a", "a@example.com", "completed", None, 0, 0, 1, 3),
    ("b", "b@example.com", "completed", None, 0, 10, 12, 16),
    ("c", "c@example.org", "completed", None, 20, 0, 25, 35),
    ("d", "d@example.org", "failed", "ValueError", 0, 30, 31, 32),
    ("e", "e@example.com", "pending", None, 3600, 3600, None, None),
]
ATTEMPTS = [("b", 1, "failed", 4), ("d", 1, "timed out", 5), ("d", 2, "failed", 1), ("a", 1, "released", 60)]


def queries(database: str) -> dict[str, str]:
    """Return the queries for a database by the comment above each."""
    parts = re.findall(r"-- ([^\n]+)\n(.*?);\n", block(PAGE, "sql", database), re.DOTALL)
    return {name.partition(",")[0]: sql for name, sql in parts}


def at(seconds: int | None) -> datetime | None:
    return None if seconds is None else HOUR + timedelta(seconds=seconds)


def fill(url: str) -> None:
    """Store three completed jobs, a failed one and a pending one, with the attempts that were lost."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for job_id, address, status, error_class, created, due, started, ended in JOBS:
            values = {"id": job_id, "job_name": "SendEmail", "status": status, "error_class": error_class}
            values["params"] = json.dumps({"to": address, "subject": "Hello"})
            times = {"scheduled_for": at(due), "worker_started_at": at(started), "completed_at": at(ended)}
            connection.execute(insert(jobs).values(**values, **times, created_at=at(created), updated_at=at(created)))
        for job_id, number, outcome, seconds in ATTEMPTS:
            lost = {"job_id": job_id, "slot": number, "number": number, "attempt": number, "outcome": outcome}
            connection.execute(insert(job_attempts).values(**lost, started_at=at(0), ended_at=at(seconds)))
    engine.dispose()


Migrate = Callable[[str], None]


@pytest.fixture
def migrated(tutorial: Path, programs: list[Path]) -> Migrate:
    """Return a function that creates the tables and the views of the tutorial in a database."""

    def migrate(url: str) -> None:
        done = shell(f"SERVER_JOBS_DATABASE_URL={url} server-jobs migrate", tutorial, programs)
        assert done.returncode == 0, done.stdout

    return migrate


@pytest.fixture(params=["sqlite", "postgresql"])
def answers(request: pytest.FixtureRequest, tmp_path: Path, migrated: Migrate) -> Iterator[dict[str, Rows]]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/jobs.sqlite3"
        migrated(url)
        fill(url)
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
            yield {name: connection.execute(sql).fetchall() for name, sql in queries("sqlite").items()}
        return
    with postgres_database() as url:
        migrated(url)
        fill(url.replace("postgresql://", "postgresql+psycopg://"))
        with psycopg.connect(url) as postgres:
            yield {name: postgres.execute(sql.encode()).fetchall() for name, sql in queries("postgresql").items()}


def numbers(row: tuple[object, ...]) -> list[float]:
    return [float(str(value)) for value in row]


def test_each_query_of_the_page_returns_what_its_comment_says(answers: dict[str, Rows]) -> None:
    counts = [(name, count) for _, name, count in answers.pop("Jobs per hour and name")]
    assert counts == [("SendEmail", 4), ("SendEmail", 1)]

    ((name, *times),) = answers.pop("Waiting and run time in seconds")
    assert (name, numbers(tuple(times))) == ("SendEmail", [3, 2, 5, 4, 10])

    ((name, error_class, failed, percent),) = answers.pop("Failure rate by error class")
    assert (name, error_class, failed, float(str(percent))) == ("SendEmail", "ValueError", 1, 25)

    ((name, *cost),) = answers.pop("Cost of retries")
    assert (name, numbers(tuple(cost))) == ("SendEmail", [3, 2, 10])

    assert answers.pop("A param as a column") == [("example.com", 3, 0), ("example.org", 2, 1)]
    assert answers == {}


@pytest.mark.slow
def test_the_programs_of_the_page_read_postgresql(tmp_path: Path, migrated: Migrate) -> None:
    """The page itself runs them with SQLite."""
    for file in ("job_frame.py", "report.py", "durations.py"):
        (tmp_path / file).write_text(block(PAGE, "python", file), encoding="utf-8")
    with postgres_database() as url:
        migrated(url)
        url = url.replace("postgresql://", "postgresql+psycopg://")
        fill(url)
        report, durations = (
            subprocess.run([sys.executable, file, url], cwd=tmp_path, capture_output=True, text=True, check=False)
            for file in ("report.py", "durations.py")
        )

    assert re.search(r"^SendEmail +1\.5 +4\.55 +3\.0 +9\.1$", report.stdout, re.MULTILINE)
    assert re.search(r"^SendEmail +25\.0$", report.stdout, re.MULTILINE), report.stderr
    assert re.search(r"^example\.com +3$", report.stdout, re.MULTILINE)
    assert re.search(r"SendEmail │ failed +│ +1 │", durations.stdout), durations.stderr


def test_the_query_of_the_original_gives_null_here(tmp_path: Path, migrated: Migrate) -> None:
    url = f"sqlite:///{tmp_path}/jobs.sqlite3"
    migrated(url)
    fill(url)
    original = "SELECT AVG(CAST((julianday(completed_at) - julianday(created_at)) * 86400000 AS INTEGER)) FROM jobs"
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        assert connection.execute(original).fetchall() == [(None,)]
