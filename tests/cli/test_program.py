"""The program itself: help, imports, and errors."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from server_jobs import DatabaseError, UnknownJobError, __version__
from server_jobs_cli.command_plug_ins import command_names
from server_jobs_cli.commands import COMMANDS
from server_jobs_cli.program import program

from .shop import ROOT, Shop, run

HEAVY = ("alembic", "datamodel_code_generator", "jinja2", "rich.console", "sqlalchemy")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
GENERATOR_MODULES = [
    re.split(r"[<>=\[]", package)[0].replace("-", "_").replace("pyyaml", "yaml")
    for package in EXTRAS["generator"]
    if not package.startswith("server-jobs")
]


def test_the_help_lists_every_command_in_its_section() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert f"\n  {name} " in result.stdout
        assert f"\n{entry.section}:\n" in result.stdout
        assert entry.summary in result.stdout


@pytest.mark.parametrize("name", command_names())
def test_every_command_explains_itself_and_its_exit_status(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: server-jobs {name} " in result.stdout
    assert "Exit status:" in result.stdout


@pytest.mark.parametrize(
    "name", [name for name in command_names() if name not in ("init", "mcp", "new", "serve", "token", "worker")]
)
def test_every_command_that_prints_takes_json(name: str) -> None:
    assert "--json" in run(name, "--help").stdout


def test_no_arguments_print_the_help() -> None:
    assert "Examples:" in run().output


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"server-jobs {__version__}\n"


def test_an_unknown_command_gets_a_suggestion() -> None:
    result = run("enqeue")
    assert result.exit_code == 2
    assert "there is no command 'enqeue'; did you mean 'enqueue'?" in result.stderr


def test_an_unknown_option_is_wrong_usage() -> None:
    result = run("list", "--statsu", "failed")
    assert result.exit_code == 2
    assert "--statsu" in result.stderr


@pytest.mark.parametrize("option", ["--project", "--database", "--json"])
def test_an_option_before_the_command_belongs_after_it(option: str) -> None:
    result = run(option, "x", "list")
    assert result.exit_code == 2
    expected = f"{option} stands before the command list; write it after the command: server-jobs list {option} ..."
    assert expected in " ".join(result.stderr.split())
    assert re.search("No such option:? '?--projct", run("--projct", "x").stderr)  # the quotes depend on click


@pytest.mark.parametrize("arguments", ["--help", "enqueue --help"])
def test_the_help_imports_nothing_heavy(arguments: str) -> None:
    script = (
        "import sys; from server_jobs_cli import main\n"
        f"sys.argv = ['server-jobs', *{arguments.split()!r}]\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [("", "cli"), ("list --json", "cli"), ("new send_email", "generator"), ("migrate", "worker"), ("serve", "serve")],
)
def test_without_its_libraries_the_command_names_the_package(missing: str, arguments: str, extra: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from server_jobs_cli import main; main()"
    command = [sys.executable, "-c", script, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"pip install 'server-jobs[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "extra"), [("alembic", "sqlalchemy"), *((module, "generator") for module in GENERATOR_MODULES)]
)
def test_a_missing_extra_is_named(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=f"{module}.config")

    monkeypatch.setattr(program, "get_command", lambda *_: click.Command("list", callback=fail))
    result = run("list")
    assert result.exit_code == 3
    assert f"needs the package {module}; install it with: pip install 'server-jobs[{extra}]'" in result.stderr


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(program, "get_command", lambda *_: click.Command("list", callback=fail))
    with pytest.raises(ZeroDivisionError):
        run("list")


@pytest.mark.parametrize(
    ("error", "status"),
    [(DatabaseError("away"), 3), (UnknownJobError("shuot", ["Shout"]), 2), (KeyboardInterrupt(), 130)],
)
def test_errors_have_their_exit_status(error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(program, "get_command", lambda *_: click.Command("list", callback=fail))
    assert run("list").exit_code == status


def test_characters_that_the_terminal_lacks_do_not_end_the_command(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--correlation-id", "naïve")
    done = subprocess.run(
        [sys.executable, "-m", "server_jobs_cli", "show", job_id, "--database", shop.url],
        cwd=ROOT,
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "na\\xefve" in done.stdout


def test_a_command_outside_of_a_project_says_how_to_get_one(tmp_path: Path) -> None:
    for arguments in (("enqueue", "Shout"), ("list",), ("workers",)):
        result = run(*arguments, "--project", str(tmp_path))
        assert result.exit_code == 3
        assert f"no pyproject.toml with a table [tool.server-jobs] in {tmp_path}" in result.stderr
        assert "server-jobs init" in result.stderr
    assert "or name a database with --database or SERVER_JOBS_DATABASE_URL" in result.stderr


def test_a_url_with_two_slashes_is_written_with_three(tmp_path: Path) -> None:
    init = run("init", str(tmp_path / "shop"))
    assert init.exit_code == 0
    for command in ("list", "migrate"):
        result = run(command, "--project", str(tmp_path / "shop"), "--database", "sqlite://folder/jobs.db")
        assert result.exit_code in (2, 3)
        assert "'sqlite://folder/jobs.db' has two slashes" in result.stderr
        assert "write 'sqlite:///folder/jobs.db' for the file in this folder" in result.stderr
