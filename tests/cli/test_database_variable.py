"""A project that states `database-url-env`: no command and no call falls back to a file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from server_jobs import DatabaseError, connect, create_job_registry, set_database

from .shop import REGISTRY, run

ID = "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de"
COMMANDS = (
    *(("migrate",), ("worker", "--until-empty"), ("tick",), ("list",), ("show", ID)),
    *(("workers",), ("why", ID), ("retry", ID), ("cancel", ID), ("delete", ID), ("pause", "mail"), ("schedules",)),
    *(("audit",), ("serve", "--port", "0"), ("enqueue", "Shout", "--params", '{"text": "x"}')),
    *((("mcp",),) if find_spec("mcp") else ()),  # the lowest dependencies have a pydantic that the SDK does not take
    *(("now", "Shout", "--params", '{"text": "x"}'), ("repair", "--all", "Shout")),
)


@pytest.fixture(params=["SHOP_DATABASE", "SERVER_JOBS_DATABASE_URL"])
def variable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the variable that the project in this folder states. It is not set."""
    name = str(request.param)
    (tmp_path / "pyproject.toml").write_text(f'[tool.server-jobs]\ndatabase-url-env = "{name}"\n')
    monkeypatch.chdir(tmp_path)
    for other in (name, "SERVER_JOBS_DATABASE_URL", "TURSO_DATABASE_URL"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("JOBS_TOKEN", "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk")  # for `serve`
    return name


def problem(variable: str) -> str:
    return f"no database is named: {variable}, the variable of database-url-env in pyproject.toml, is not set; set it"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_names_a_variable_that_is_not_set(command: tuple[str, ...], variable: str) -> None:
    name, *rest = command
    result = run(name, "--registry", REGISTRY, *rest)

    assert problem(variable) in result.stderr, result.output
    assert result.exit_code == 3
    assert not list(Path().glob("*.sqlite3*"))


def test_doctor_reports_it(variable: str) -> None:
    result = run("doctor", "--registry", REGISTRY)

    assert problem(variable) in result.output
    assert result.exit_code == 1


def test_an_empty_variable_is_not_set(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    monkeypatch.setenv("TURSO_DATABASE_URL", "")
    assert problem(variable) in run("list").stderr


def test_an_option_or_the_variable_names_the_database(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = "there is no SQLite database {}; run `server-jobs migrate`"
    assert named.format(Path("a.sqlite3").absolute()) in run("list", "--database", "sqlite:///a.sqlite3").stderr
    monkeypatch.setenv(variable, "sqlite:///b.sqlite3")
    assert named.format(Path("b.sqlite3").absolute()) in run("list").stderr
    assert named.format(Path("a.sqlite3").absolute()) in run("list", "--database", "sqlite:///a.sqlite3").stderr


def test_a_project_without_the_setting_has_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n")
    monkeypatch.chdir(tmp_path)
    assert "server-jobs.sqlite3; run `server-jobs migrate`" in run("list").stderr


async def test_a_registry_with_the_variable_connects_only_if_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = create_job_registry(database_url_env="SHOP_DATABASE")
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", "sqlite:///wrong.sqlite3")
    with pytest.raises(DatabaseError, match="no database is named: SHOP_DATABASE"):
        await connect(registry).__aenter__()
    with pytest.raises(DatabaseError, match="no database is named: SHOP_DATABASE"):
        set_database(registry)
    monkeypatch.setenv("SHOP_DATABASE", "sqlite:///right.sqlite3")
    with pytest.raises(DatabaseError, match=r"right\.sqlite3"):
        await connect(registry).__aenter__()
    set_database(registry)
    with pytest.raises(DatabaseError, match=r"given\.sqlite3"):
        await connect(registry, "sqlite:///given.sqlite3").__aenter__()
