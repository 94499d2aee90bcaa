"""Views with more columns than a database allows: rejected, or left out if only one database has the limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from server_jobs_generator.migrations import declared_state
from server_jobs_outputs.cloudflare import d1
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tests.conformance.d1_binding import LIMITS
from tests.generator.migrations.test_migrations import alembic, engine, url
from tests.generator.projects import TemporaryProject, generated_project, make_project
from tests.generator.spec_projects import Schema, a_spec, an_object, job, problems
from tests.generator.sql_views.view_databases import opened, view_engine
from tests.slow import slow

__all__ = ["engine", "url"]

OWN = 16


def wide(columns: int, **options: object) -> Schema:
    """Return a spec whose view has that many columns."""
    params: Mapping[str, object] = {f"p{number}": {"type": "string"} for number in range(columns - OWN - 1)}
    result = an_object(sum={"type": "integer"})
    return a_spec(an_object(**params), result, **({"x-job": options} if options else {}))


def test_as_many_columns_as_every_database_takes_are_shown(tmp_path: Path, engine: Engine) -> None:
    project = generated_project(tmp_path / "project", {"wide": wide(1_600)})
    command.upgrade(alembic(project), "head")
    with engine.connect() as connection:
        assert len(connection.execute(text("SELECT * FROM wide_jobs")).keys()) == 1_600


def test_more_are_refused_unless_there_is_to_be_no_view_or_they_are_redacted(tmp_path: Path) -> None:
    message = 'its view would have 1,601 columns, and PostgreSQL takes 1,600; set "view": false in x-job'
    assert [line.endswith(message) for line in problems(tmp_path, {"wide.json": wide(1_601)})] == [True]
    assert problems(tmp_path, {"wide.json": wide(1_601, view=False)}) == []
    assert problems(tmp_path, {"wide.json": wide(1_601, redact=["/p1"])}) == []
    assert problems(tmp_path, {"wide.json": wide(1_601, redact=[""])}) == []


def shown_by_d1(project: TemporaryProject) -> list[str]:
    """Return the views that D1 has after all migrations, each within its limits."""
    with closing(sqlite3.connect(":memory:")) as d1:
        for limit, most in LIMITS.items():
            d1.setlimit(limit, most)
        for path in sorted(project.path("generated/worker/migrations").iterdir()):
            d1.executescript(path.read_text(encoding="utf-8"))
        views = [name for (name,) in d1.execute("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name")]
        for view in views:
            d1.execute(f"SELECT * FROM {view}").fetchall()
        return views


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    project = make_project(tmp_path / "project", {"wide": wide(101), "narrow": wide(100)})
    project.generate()
    return project


def test_a_view_that_is_too_wide_for_d1_is_left_out_there_and_may_come_and_go(project: TemporaryProject) -> None:
    assert shown_by_d1(project) == ["narrow_jobs"]
    assert "-- D1 has no wide_jobs: of 101 columns" in project.read("generated/worker/migrations/0002_views.sql")
    project.write_spec("wide", wide(100))
    project.write_spec("narrow", wide(101))
    project.generate("--relock", "wide", "--relock", "narrow")
    assert shown_by_d1(project) == ["wide_jobs"]
    project.write_spec("wide", wide(102))
    project.generate("--relock", "wide")
    assert shown_by_d1(project) == []
    assert "CREATE VIEW wide_jobs" in project.read("generated/migrations/sql/sqlite/0004_views.sql")


@pytest.mark.parametrize("property_format", ["date-time", slow("date"), slow("uuid")])
def test_d1_shows_as_many_columns_of_any_kind(tmp_path: Path, property_format: str) -> None:
    times = {f"p{number}": {"type": "string", "format": property_format} for number in range(100 - OWN - 1)}
    project = make_project(
        tmp_path / "project", {"wide": a_spec(an_object(**times), an_object(sum={"type": "number"}))}
    )
    project.generate()
    assert shown_by_d1(project) == ["wide_jobs"]


def test_without_that_d1_would_have_a_view_that_it_cannot_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d1, "_MOST_COLUMNS", 200)
    project = make_project(tmp_path / "project", {"wide": wide(101)})
    project.generate()  # generate, because a cached project might have been made without the limit
    with pytest.raises(sqlite3.OperationalError, match="too many columns in result set"):
        shown_by_d1(project)


def test_a_view_whose_text_is_too_long_for_d1_is_left_out_there(tmp_path: Path) -> None:
    params = {f"p{number}_{'long' * 500}": {"type": "string"} for number in range(30)}
    project = make_project(tmp_path / "project", {"long": a_spec(an_object(**params))})
    project.generate()
    assert shown_by_d1(project) == []


def test_without_short_patterns_d1_could_show_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared_state, "_SQLITE_TIME", f"{'[0-9]' * 10}*")
    one = job(tmp_path, a_spec(an_object(startsAt={"type": "string", "format": "date-time"})))
    with view_engine("sqlite", tmp_path) as engine, opened(engine) as database:
        database.make_views(one)
        job_id = database.insert(one, '{"startsAt": "2026-01-02T03:04:05Z"}')
        with pytest.raises(OperationalError, match="pattern too complex"):
            database.columns(one, job_id)
