"""Options from environment variables: each option of each command, their errors, and misspelled variables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.core import ParameterSource
from server_jobs_cli.command_plug_ins import command_names
from server_jobs_cli.console.variables import variable_of
from server_jobs_cli.program import program

from .shop import REGISTRY, ROOT, Shop, run

FILTER = (
    *("--status", "--parked", "--job", "--queue", "--error-class", "--correlation-id", "--worker", "--batch"),
    *("--older-than", "--newer-than", "--where"),
)
ON_COMMAND_LINE = {
    *(("generate", name) for name in ("--force", "--relock", "--forget")),
    ("check", "--database"),
    *(("new", name) for name in ("--param", "--result", "--schedule", "--queue", "--description", "--yaml")),
    *(("import", name) for name in ("--only", "--force", "--relock", "--diff")),
    ("migrate", "--downgrade"),
    ("worker", "--metrics-socket"),
    ("worker", "--supervised"),
    ("run", "--claim"),
    ("show", "--reveal"),
    ("mcp", "--allow-writes"),
    *(("repair", name) for name in ("--params", "--version", "--all")),
    *((move, name) for move in ("retry", "cancel", "delete") for name in (*FILTER, "--yes")),
    *(("prune", name) for name in FILTER),
    *(("tenants", name) for name in ("--delete", "--yes")),
    *(("schedules", name) for name in ("--cron", "--timezone", "--misfire", "--misfire-limit", "--params")),
    *(("schedules", name) for name in ("--from", "--to", "--again")),
}
"""The options without a variable. Each of them chooses, confirms, overwrites or discloses something."""

VALUES = {
    "--max-memory-per-process": "512MB",
    "--target": "cloudflare",
    "--params": '{"text": "x"}',
    "--at": "2026-01-31T09:00:00Z",
    "--host": "localhost",
    "--delay": "3s",
    "--expires-after": "3s",
    "--wait": "3s",
    "--budget": "3s",
    "--worker-timeout": "3s",
    "--drain-timeout": "3s",
    "--lease": "3s",
    "--poll-interval": "3s",
    "--older-than": "3s",
    "--newer-than": "3s",
}
"""Values that an option of this name takes. A choice takes its last value, a number 7, and a text itself."""


def options() -> Iterator[tuple[str, click.Option]]:
    context = click.Context(program)
    for name in command_names():
        command = program.get_command(context, name)
        assert command is not None
        yield from ((name, option) for option in command.params if isinstance(option, click.Option))


def name_of(option: click.Option) -> str:
    return option.opts[0]


WITH_VARIABLE = [
    pytest.param(name, option, id=f"{name} {name_of(option)}")
    for name, option in options()
    if (name, name_of(option)) not in ON_COMMAND_LINE and name_of(option) != "--database"
]


def value_for(option: click.Option, folder: Path) -> str:
    if name_of(option) in VALUES:
        return VALUES[name_of(option)]
    if option.is_flag:
        return "yes"
    match option.type:
        case click.Choice():
            return str(option.type.choices[-1])
        case click.types.IntParamType():
            return "7"
        case click.Path():
            return str(folder)
        case _:
            return "text"


def parsed(name: str, *arguments: str) -> click.Context:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    arguments_of = [one for one in command.params if isinstance(one, click.Argument) and one.required]
    needed = [str(one.type.choices[0]) if isinstance(one.type, click.Choice) else "1" for one in arguments_of]
    needed += ["--claim", "job:digest"] if name == "run" else []
    return command.make_context(name, [*arguments, *needed])


@pytest.mark.parametrize(("name", "option"), WITH_VARIABLE)
def test_each_option_takes_the_value_of_its_variable(
    name: str, option: click.Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = value_for(option, tmp_path)
    arguments = [name_of(option)] if option.is_flag else [name_of(option), text]
    with parsed(name, *arguments) as given:
        expected = given.params, given.meta

    monkeypatch.setenv(f"SERVER_JOBS_{name_of(option)[2:].replace('-', '_').upper()}", text)
    with parsed(name) as context:
        assert (context.params, context.meta) == expected
        assert context.get_parameter_source(str(option.name)) is ParameterSource.ENVIRONMENT
    with parsed(name, *arguments) as context:
        assert context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE


def test_the_other_options_are_those_that_choose_or_confirm_a_change() -> None:
    assert {(name, name_of(option)) for name, option in options() if not variable_of(name, option)} == ON_COMMAND_LINE


@pytest.mark.parametrize("name", command_names())
def test_the_help_shows_the_variable_of_each_option(name: str) -> None:
    text = "".join(run(name, "--help").stdout.split())
    variables = {variable_of(command, option) for command, option in options() if command == name}
    assert [variable for variable in variables if variable and variable not in text] == []


def test_the_command_line_wins_over_the_variable_and_the_variable_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parsed("worker").params["concurrency"] == 5
    monkeypatch.setenv("SERVER_JOBS_CONCURRENCY", "7")
    assert parsed("worker").params["concurrency"] == 7
    assert parsed("worker", "--concurrency", "9").params["concurrency"] == 9
    monkeypatch.setenv("SERVER_JOBS_CONCURRENCY", "")
    assert parsed("worker").params["concurrency"] == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("false", False), ("no", False)],
)
def test_a_flag_takes_words_for_yes_and_no(text: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_JOBS_UNTIL_EMPTY", text)
    monkeypatch.setenv("SERVER_JOBS_JSON", text)
    assert parsed("worker").params["until_empty"] is expected
    assert parsed("check").params["as_json"] is expected


def test_an_option_of_several_values_takes_them_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_JOBS_ALLOW_HOST", "a.example.com, b.example.com")
    monkeypatch.setenv("SERVER_JOBS_QUEUES", "mail, default")
    monkeypatch.setenv("SERVER_JOBS_SCOPE", "enqueue:mail,reports read")
    assert parsed("serve").params["hosts"] == ("a.example.com", "b.example.com")
    assert parsed("serve", "--allow-host", "c").params["hosts"] == ("c",)
    assert parsed("worker").params["queues"] == ("mail", "default")
    assert parsed("token").params["scopes"] == ("enqueue:mail,reports", "read")


@pytest.mark.parametrize(
    ("name", "variable", "value", "option", "problem"),
    [
        ("worker", "SERVER_JOBS_CONCURRENCY", "many", "--concurrency", "'many' is not a valid integer"),
        ("worker", "SERVER_JOBS_PROCESSES", "0", "--processes", "0 is not in the range"),
        ("worker", "SERVER_JOBS_DRAIN_TIMEOUT", "5", "--drain-timeout", "write a number and a unit, such as 30s"),
        ("worker", "SERVER_JOBS_LOG_LEVEL", "loud", "--log-level", "'loud' is not one of"),
        ("worker", "SERVER_JOBS_LIVE", "maybe", "--live", "'maybe' is not a valid boolean"),
        ("check", "SERVER_JOBS_JSON", "maybe", "--json", "'maybe' is not a valid boolean"),
        ("check", "SERVER_JOBS_FORMAT", "xml", "--format", "'xml' is not one of"),
        ("doctor", "SERVER_JOBS_PROJECT", "/no/such", "--project", "does not exist"),
    ],
)
def test_a_wrong_value_is_wrong_usage_and_names_the_variable(
    name: str, variable: str, value: str, option: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    result = run(name)
    assert result.exit_code == 2
    assert f"{variable}='{value}' (correct the variable or unset it; it sets {option}): " in result.stderr
    assert problem in result.stderr


def test_a_wrong_value_on_the_command_line_does_not_blame_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_JOBS_CONCURRENCY", "7")
    result = run("worker", "--concurrency", "many")
    assert "Invalid value for '--concurrency': 'many' is not a valid integer" in result.stderr
    assert "SERVER_JOBS" not in result.stderr


def test_wrong_params_from_a_variable_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_JOBS_PARAMS", '{"password": "abc"')
    result = run("enqueue", "Shout")
    assert result.exit_code == 2
    assert "SERVER_JOBS_PARAMS" in result.stderr
    assert "abc" not in result.stderr


def test_options_that_exclude_each_other_name_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_JOBS_LIVE", "1")
    result = run("worker", "--processes", "2", "--registry", REGISTRY)
    assert result.exit_code == 2
    assert "--live shows one process" in result.stderr
    assert "; SERVER_JOBS_LIVE sets --live" in result.stderr
    assert "sets --processes" not in result.stderr


def test_an_error_is_json_if_the_variable_asks_for_json(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SERVER_JOBS_JSON", "SERVER_JOBS_FORMAT"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "1" if variable == "SERVER_JOBS_JSON" else "json")
            assert '"type": "ProjectError"' in run("check", "--against", "no-such-revision").stdout


@pytest.mark.parametrize(
    ("command", "variable", "advice"),
    [
        ("worker", "SERVER_JOBS_CONCURENCY", "did you mean SERVER_JOBS_CONCURRENCY?"),
        ("worker", "SERVER_JOBS_LOGLEVEL", "did you mean SERVER_JOBS_LOG_LEVEL?"),
        ("worker", "SERVER_JOBS_DATABASE", "use SERVER_JOBS_DATABASE_URL"),
        ("delete", "SERVER_JOBS_YES", "give --yes on the command line"),
    ],
)
def test_a_variable_that_is_not_read_gets_a_warning(
    command: str, variable: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    result = Shop(tmp_path / "nothing.sqlite3").run(command, *(["1"] if command == "delete" else []))
    assert f"warning: {variable} is not read; {advice}\n" in result.stderr


@pytest.mark.parametrize(
    "variable", ["SERVER_JOBS_QUEUES", "SERVER_JOBS_LONG_TESTS", "SERVER_JOBS_SERVICE_PORT", "SERVER_JOBS_DATABASE_URL"]
)
def test_a_variable_of_another_command_or_program_gets_none(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    assert "warning" not in Shop(tmp_path / "nothing.sqlite3").run("list").stderr


@pytest.mark.slow
def test_worker_processes_have_the_options_of_their_supervisor_and_repeat_no_warning(shop: Shop) -> None:
    job_ids = [shop.enqueue("Shout") for _ in range(3)]
    environment = {
        **os.environ,
        "SERVER_JOBS_PROCESSES": "2",
        "SERVER_JOBS_UNTIL_EMPTY": "1",
        "SERVER_JOBS_CONCURENCY": "3",
        "SERVER_JOBS_REGISTRY": REGISTRY,
        "SERVER_JOBS_DATABASE_URL": shop.url,
        "SERVER_JOBS_PROJECT": str(shop.path.parent),
    }
    done = subprocess.run(
        [sys.executable, "-m", "server_jobs_cli", "worker"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 processes with 5 at a time each" in done.stderr
    assert done.stderr.count("SERVER_JOBS_CONCURENCY is not read") == 1
    assert [bool(re.search(rf"worker\[\d\] Shout {job_id} completed", done.stderr)) for job_id in job_ids] == [True] * 3
