"""`insert_job` and `insert_jobs` return statements for drivers that `later_in` does not know."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from server_jobs import (
    Enqueue,
    InvalidOptionError,
    InvalidParamsError,
    JobOptions,
    Middleware,
    create_job_registry,
    define_job,
)
from server_jobs.databases.parameter_styles import PARAMETER_MARKS, in_style

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import Text, echo, text_job

PARAMS = {"text": '50% of "ä" :x'}
OnceOnly = text_job(echo, "OnceOnly", JobOptions(unique_by=("/text",)))


@pytest.mark.parametrize("paramstyle", ["qmark", "named"])
def test_sqlite_executes_its_styles(paramstyle: str, tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        one = OnceOnly.insert_job(PARAMS, dialect="sqlite", paramstyle=paramstyle, delay=timedelta(hours=1))
        many = OnceOnly.insert_jobs([PARAMS, {"text": "b"}, {"text": "c"}], dialect="sqlite", paramstyle=paramstyle)
        assert connection.execute(one.sql, one.parameters).fetchall() == [(one.ids[0],)]
        stored = connection.execute(many.sql, many.parameters).fetchall()
        assert sorted(stored) == sorted((job_id,) for job_id in many.ids[1:])
        rows = connection.execute("SELECT params, scheduled_for - created_at FROM jobs ORDER BY id").fetchall()
        batches = connection.execute("SELECT DISTINCT batch_id FROM jobs ORDER BY id").fetchall()
    assert rows[0] == ('{"text":"50% of \\"ä\\" :x"}', 3_600_000)
    assert batches == [(one.batch_id,), (many.batch_id,)] == [(None,), (many.batch_id,)]


@pytest.mark.parametrize("paramstyle", ["format", "pyformat", "numeric_dollar"])
def test_postgresql_executes_its_styles(paramstyle: str) -> None:
    factory: Any = psycopg.RawCursor if paramstyle == "numeric_dollar" else psycopg.ClientCursor
    with empty_database() as url, psycopg.connect(url, cursor_factory=factory) as connection:
        one = OnceOnly.insert_job(PARAMS, dialect="postgresql", paramstyle=paramstyle)
        many = OnceOnly.insert_jobs([PARAMS, {"text": "b"}], dialect="postgresql", paramstyle=paramstyle)
        assert [row[0] for row in connection.execute(one.sql.encode(), one.parameters)] == [*one.ids]
        assert [row[0] for row in connection.execute(many.sql.encode(), many.parameters)] == [many.ids[1]]
        found = connection.execute("SELECT params FROM jobs ORDER BY id").fetchall()
    assert found[0] == ('{"text":"50% of \\"ä\\" :x"}',)


async def test_asyncpg_executes_numbered_parameters() -> None:
    with empty_database() as url:
        connection = await asyncpg.connect(url)
        insertion = OnceOnly.insert_job(PARAMS, dialect="postgresql", paramstyle="numeric_dollar")
        assert await connection.fetchval(insertion.sql, *insertion.parameters) == insertion.ids[0]
        await connection.close()


@pytest.mark.parametrize(
    ("style", "sql", "names"),
    [
        ("named", "SELECT :b, :a % :b", ("b", "a")),
        ("pyformat", "SELECT %(b)s, %(a)s %% %(b)s", ("b", "a")),
        ("qmark", "SELECT ?, ? % ?", ("b", "a", "b")),
        ("format", "SELECT %s, %s %% %s", ("b", "a", "b")),
        ("numeric", "SELECT :1, :2 % :1", ("b", "a")),
        ("numeric_dollar", "SELECT $1, $2 % $1", ("b", "a")),
        ("numbered", "SELECT ?1, ?2 % ?1", ("b", "a")),
    ],
)
def test_each_style_has_its_marks(style: str, sql: str, names: tuple[str, ...]) -> None:
    assert in_style("SELECT :b, :a % :b", style) == (sql, names)
    assert style in PARAMETER_MARKS


def test_the_statement_names_the_schema_and_wakes_workers_on_postgresql() -> None:
    job = define_job(name="Apart", params=Text, result=Text, handler=echo, database_schema="jobs")
    found = {name: job.insert_job(PARAMS, dialect=name, paramstyle="qmark").sql for name in ("sqlite", "postgresql")}
    assert "INSERT INTO jobs (" in found["sqlite"]
    assert "pg_notify" not in found["sqlite"]
    assert 'INSERT INTO "jobs".jobs (' in found["postgresql"]
    assert "pg_notify" in found["postgresql"]


class Marking(Middleware):
    """Adds a header."""

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        enqueue.headers["note"] = "hello"
        yield


def test_middleware_adds_its_headers() -> None:
    job = text_job(echo, "Marked")
    registry = create_job_registry().register(job).use(Marking())
    insertion = job.insert_job(PARAMS, dialect="sqlite", paramstyle="named")
    assert isinstance(insertion.parameters, dict)
    assert insertion.parameters["headers"] == '{"note": "hello"}'
    assert not registry.hooks.is_empty


def test_bad_input_is_refused() -> None:
    refused: Any = OnceOnly.insert_jobs
    with pytest.raises(InvalidOptionError, match="dialect must be one of sqlite, postgresql, not 'mysql'"):
        refused([PARAMS], dialect="mysql", paramstyle="qmark")
    with pytest.raises(InvalidOptionError, match=r"paramstyle must be one of named, pyformat, .*, not 'dollar'"):
        refused([PARAMS], dialect="sqlite", paramstyle="dollar")
    with pytest.raises(InvalidOptionError, match="at least one job"):
        refused([], dialect="sqlite", paramstyle="qmark")
    with pytest.raises(InvalidParamsError, match="/text"):
        refused([PARAMS, {}], dialect="sqlite", paramstyle="qmark")
