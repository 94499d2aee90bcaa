"""Branches that both upgrade to a release with other tables, and databases that only plain SQL can migrate."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs_generator.migrations import revisions
from sqlalchemy import create_engine, inspect

from tests.conformance.hrana_server import HranaServer
from tests.generator.branches.branching import Repository, columns, databases_that_ran, repository, spec
from tests.generator.databases import postgres_database
from tests.generator.migrations.test_migrations import url
from tests.generator.projects import schedule
from tests.generator.sql_views.test_revisions import newer_tables
from tests.slow import slow

__all__ = ["url"]

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path / "project", send_email=spec("SendEmail", "to"), remind=spec("Remind", "who"))


def two_branches_of_a_new_release(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change a spec in both branches with the old release, then upgrade both: the tables change in each."""
    for branch, name, title in (("one", "send_email", "SendEmail"), ("other", "remind", "Remind")):
        repo.switch(branch)
        repo.commit(**{name: spec(title, "to", "who", branch, indexes=[f"/params/{branch}"])})
    newer_tables(monkeypatch)
    for branch in ("one", "other"):
        repo.switch(branch)
        repo.project.path(".server-jobs-cache/clean").unlink(missing_ok=True)
        repo.commit()


@pytest.mark.slow
@pytest.mark.parametrize(("url", "ran"), databases_that_ran("one", "other"), indirect=["url"])
def test_both_branches_came_to_the_same_new_tables(
    repo: Repository, url: str, ran: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_branches_of_a_new_release(repo, monkeypatch)
    repo.switch(ran)
    assert repo.project.run("migrate", "--database", url).exit_code == 0
    repo.switch("one")
    repo.merge("other")
    repo.settle()
    done = repo.project.run("migrate", "--database", url)
    assert done.exit_code == 0, done.output
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    assert [column["name"] for column in inspect(engine).get_columns("jobs")].count("trace") == 1
    engine.dispose()
    assert columns(url, "send_email_jobs") == {"to", "who", "one"}
    assert columns(url, "remind_jobs") == {"to", "who", "other"}
    assert {name for name in indexes(url) if name.endswith("_idx")} == {
        "send_email_jobs_params_one_idx",
        "remind_jobs_params_other_idx",
    }


def indexes(url: str) -> set[str]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    on_sqlite = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'jobs'"
    query = on_sqlite if engine.dialect.name == "sqlite" else "SELECT indexname FROM pg_indexes"
    with engine.connect() as connection:
        found = {str(name) for (name,) in connection.exec_driver_sql(query)}
    engine.dispose()
    return found


@pytest.mark.slow
def test_without_a_condition_the_second_branch_cannot_change_the_tables(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "guarded_code", lambda changes, code: code(changes))
    two_branches_of_a_new_release(repo, monkeypatch)
    repo.switch("one")
    repo.merge("other")
    with postgres_database() as database:
        done = repo.project.run("migrate", "--database", database)
    assert done.exit_code == 3
    assert "trace" in done.output


@pytest.mark.parametrize("ran", [slow("one"), "other"])
def test_a_database_on_turso_ran_one_branch(
    repo: Repository, tmp_path: Path, ran: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", TOKEN)
    for branch, name, title in (("one", "send_email", "SendEmail"), ("other", "remind", "Remind")):
        repo.switch(branch)
        repo.commit(**{name: spec(title, "to", "who", branch, schedules=[schedule()])})
    with HranaServer(tmp_path / "turso.sqlite3", TOKEN) as server:
        repo.switch(ran)
        assert repo.project.run("migrate", "--database", server.url).exit_code == 0
        repo.switch("one")
        repo.merge("other")
        assert repo.project.run("migrate", "--database", server.url).exit_code == 0, "two heads are normal"
        repo.settle()
        done = repo.project.run("migrate", "--database", server.url)
        assert done.exit_code == 0, done.output
    found = f"sqlite:///{tmp_path}/turso.sqlite3"
    assert columns(found, "send_email_jobs") == {"to", "who", "one"}
    assert columns(found, "remind_jobs") == {"to", "who", "other"}
    with closing(sqlite3.connect(tmp_path / "turso.sqlite3")) as connection:
        assert len(connection.execute("SELECT version_num FROM server_jobs_version").fetchall()) == 1
        assert len(connection.execute("SELECT name FROM cron_jobs").fetchall()) == 2
