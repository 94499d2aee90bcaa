"""`server-jobs migrate` on a project with generated migrations."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs.domain import table_names

from tests.generator.databases import postgres_database
from tests.generator.projects import TemporaryProject, make_project, without_digests

from .shop import run

TABLES = {*table_names.TABLES, "server_jobs_version"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    """Return a generated project with one job."""
    project = make_project(tmp_path_factory.mktemp("project"))
    project.generate()
    return project


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        return {str(name) for (name,) in rows}
    finally:
        connection.close()


def test_a_new_database_gets_the_tables_and_a_second_run_does_nothing(
    project: TemporaryProject, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    first = project.run("migrate", "--database", url)
    assert first.exit_code == 0
    lines = without_digests(first.stdout).splitlines()
    assert lines[0] == f"migrating {url}"
    assert lines[1].startswith("upgrade server_jobs_0001  ")
    assert lines[-1] == f"{url} is now at server_jobs_0002 (head)"
    assert tables(tmp_path / "new.sqlite3") == TABLES
    second = without_digests(project.run("migrate", "--database", url).stdout)
    assert second == f"migrating {url}\n{url} is at server_jobs_0002 (head)\n"


def test_the_default_database_is_in_the_folder_of_the_project_wherever_the_command_is_run(
    project: TemporaryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERVER_JOBS_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)

    result = project.run("migrate")

    assert result.exit_code == 0, result.output
    assert tables(project.path("server-jobs.sqlite3")) == TABLES
    assert list(tmp_path.iterdir()) == []


def test_a_downgrade_removes_the_tables(project: TemporaryProject, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    project.run("migrate", "--database", url)
    result = project.run("migrate", "--database", url, "--downgrade", "base")
    assert result.stdout.splitlines()[1].startswith("downgrade server_jobs_0002")
    assert tables(tmp_path / "new.sqlite3") == {"server_jobs_version"}


def test_with_json_the_revisions_are_listed(project: TemporaryProject, tmp_path: Path) -> None:
    result = project.run("migrate", "--database", f"sqlite:///{tmp_path}/new.sqlite3", "--json")
    document = json.loads(result.stdout)
    assert [(step["direction"], without_digests(step["revision"])) for step in document["ran"]] == [
        ("upgrade", "server_jobs_0001"),
        ("upgrade", "server_jobs_0002"),
    ]
    assert document["heads"] == [document["ran"][-1]["revision"]]


def test_sql_is_printed_for_an_empty_database_and_none_is_touched(project: TemporaryProject, tmp_path: Path) -> None:
    result = project.run("migrate", "--sql", "--database", f"sqlite:///{tmp_path}/new.sqlite3")
    assert result.exit_code == 0
    assert not (tmp_path / "new.sqlite3").exists()
    connection = sqlite3.connect(tmp_path / "by_hand.sqlite3")
    connection.executescript(result.stdout)
    connection.close()
    assert tables(tmp_path / "by_hand.sqlite3") == TABLES


def test_postgresql_is_migrated_too(project: TemporaryProject) -> None:
    with postgres_database() as url:
        said = [without_digests(project.run("migrate", "--database", url).stdout) for _ in range(2)]
        assert "is now at server_jobs_0002 (head)" in said[0]
        assert "is at server_jobs_0002 (head)" in said[1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--revision", "nope"], "Alembic: Can't locate revision identified by 'nope'"),
        (
            ["--database", "sqlite:////no/such/folder/x.sqlite3"],
            "its folder must be there, and this process must be allowed",
        ),
        (["--database", "mysql://ann:secret@localhost/shop"], "'mysql://ann:***@localhost/shop' is not supported"),
        (["--database", "wss://shop-ann.turso.io"], "or 'libsql://name-organization.turso.io'"),
        (
            ["--database", "nonsense"],
            "the database URL 'nonsense' is not supported; give one such as 'sqlite:///server-jobs.sqlite3'",
        ),
        (["--database", "postgresql://ann:secret@127.0.0.1:1/shop"], "Connection refused Is the server running"),
        (["--database", "postgresql+nodriver://localhost/shop"], "nodriver"),
    ],
)
def test_impossible_versions_are_reported_in_one_message(
    project: TemporaryProject, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    result = project.run("migrate", "--database", f"sqlite:///{tmp_path}/new.sqlite3", *arguments)
    assert result.exit_code == 3
    assert "upgrade" not in result.stdout
    assert problem in result.stderr
    assert "secret" not in result.output


def test_a_lock_of_another_process_is_reported_with_advice(project: TemporaryProject, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "busy.sqlite3")) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = project.run("migrate", "--database", f"sqlite:///{tmp_path}/busy.sqlite3?timeout=0.1")
    assert result.exit_code == 3
    assert "database is locked; try again, and look for a program that keeps a transaction open" in result.stderr


@pytest.mark.parametrize(("scheme", "problem"), [("postgresql", "'[::1' is no host"), ("libsql", "Invalid IPv6 URL")])
def test_an_invalid_url_is_reported_without_its_password(project: TemporaryProject, scheme: str, problem: str) -> None:
    for command in ("migrate", "doctor"):
        result = project.run(command, "--database", f"{scheme}://ann:secret@[::1/shop")
        assert result.exit_code in (1, 2)
        said = result.stdout + result.stderr
        assert f"the database URL '{scheme}://ann:***@[::1/shop' cannot be read: {problem}" in said
        assert "secret" not in said


@pytest.mark.parametrize("option", ["sslpassword", "SSLPASSWORD", "ssl%70assword", "passfile", "sslkey", "password"])
def test_no_secret_option_of_a_url_is_reported(project: TemporaryProject, option: str) -> None:
    for command in ("migrate", "doctor"):
        result = project.run(command, "--database", f"postgresql://ann@127.0.0.1:1/shop?{option}=hunter2")
        assert result.exit_code != 0
        assert "hunter2" not in result.output


def test_before_anything_is_generated_there_is_nothing_to_run(tmp_path: Path) -> None:
    outside = run("migrate", "--project", str(tmp_path))
    assert outside.exit_code == 3
    assert "start a project with `server-jobs init`" in outside.stderr
    early = make_project(tmp_path / "early").run("migrate")
    assert early.exit_code == 3
    assert "there are no migrations yet" in early.stderr


def test_a_project_without_alembic_settings_uses_the_generated_migrations(tmp_path: Path) -> None:
    project = make_project(tmp_path / "plain%20project")
    (project.root / "pyproject.toml").write_text("[tool.server-jobs]\n")
    project.generate()
    result = project.run("migrate", "--database", f"sqlite:///{tmp_path}/new.sqlite3")
    assert result.exit_code == 0, result.output
    assert tables(tmp_path / "new.sqlite3") == TABLES
