"""`server-jobs enqueue`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from server_jobs import JobStatus

from tests.cli.shop import REGISTRY, Shop, run
from tests.generator.projects import job_spec, make_project


def test_a_job_is_stored_and_its_id_printed(shop: Shop) -> None:
    result = shop.run("enqueue", "Shout", "--params", '{"text": "hi"}')
    assert (result.exit_code, result.stderr) == (0, "")
    record = shop.record(result.stdout.strip())
    assert record.status is JobStatus.PENDING
    assert json.loads(record.params) == {"text": "hi", "secret": "", "seconds": 0.0}


def test_options_reach_the_row(shop: Shop) -> None:
    ours = (
        "--priority",
        "-7",
        "--max-attempts",
        "9",
        "--correlation-id",
        "c1",
        "--delay",
        "5m",
        "--expires-after",
        "1h",
    )
    record = shop.record(shop.enqueue("Shout", *ours))
    assert (record.priority, record.max_attempts, record.correlation_id) == (-7, 9, "c1")
    assert record.scheduled_for - record.created_at == timedelta(minutes=5)
    assert record.start_before == record.scheduled_for + timedelta(hours=1)


def test_a_moment_is_kept_to_the_second(shop: Shop) -> None:
    record = shop.record(shop.enqueue("Shout", "--at", "2030-01-31T09:00:00+01:00"))
    assert record.scheduled_for == datetime(2030, 1, 31, 8, tzinfo=UTC)


def test_params_that_do_not_fit_are_listed_by_pointer_and_nothing_is_stored(shop: Shop) -> None:
    result = shop.run("enqueue", "Shout", "--params", '{"text": "' + "x" * 30 + '", "secret": 1, "more": 2}')
    assert (result.exit_code, result.stdout) == (1, "")
    header, *problems = result.stderr.splitlines()
    assert header == "Error: params of Shout do not fit its spec:"
    assert [line.split(":")[0] for line in problems] == ["  /text", "  /secret", "  /more"]
    assert "value that is not shown" in result.stderr
    assert shop.records() == []


def test_with_json_the_problems_are_json(shop: Shop) -> None:
    result = shop.run("enqueue", "Shout", "--json", "--params", "{}")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, result.stderr) == (1, "")
    assert (error["type"], error["problems"]) == (
        "InvalidParamsError",
        [{"pointer": "/text", "message": "Field required"}],
    )


def test_params_may_come_from_stdin_or_a_file(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"text": "file"}')
    for source, stdin in ((f"@{tmp_path}/params.json", None), ("-", '{"text": "stdin"}')):
        assert shop.run("enqueue", "Shout", "--params", source, stdin=stdin).exit_code == 0
    assert {json.loads(record.params)["text"] for record in shop.records()} == {"file", "stdin"}


def test_an_unfinished_job_with_the_same_unique_key_is_the_answer(shop: Shop) -> None:
    first = shop.enqueue("Shout", "--unique-key", "order-17")
    second = shop.run("enqueue", "Shout", "--params", '{"text": "again"}', "--unique-key", "order-17")
    assert (second.exit_code, second.stdout.strip()) == (0, first)
    assert "exists already" in second.stderr
    assert shop.json("enqueue", "Shout", "--params", '{"text": "again"}', "--unique-key", "order-17") == {
        "id": first,
        "job_name": "Shout",
        "created": False,
    }


def test_an_unknown_job_gets_a_suggestion(shop: Shop) -> None:
    result = shop.run("enqueue", "shuot")
    assert result.exit_code == 2
    assert result.stderr == "Error: no job is called 'shuot'; did you mean 'Shout'?\n"


def test_a_job_without_a_handler_is_stored_with_a_note(shop: Shop) -> None:
    result = shop.run("enqueue", "Stub", "--params", '{"text": "hi"}')
    assert result.exit_code == 0
    assert "the handler of Stub is not implemented" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--params", "{"], "not valid JSON"),
        (["--delay", "5"], "'5' is not a duration"),
        (["--at", "2030-01-01T00:00:00"], "has no time zone"),
        (["--at", "2030-01-01T00:00:00Z", "--delay", "5s"], "either --delay or --at, not both"),
        (["--params", '{"text": ""}', "--priority", "500"], "priority must be between -100 and 100, not 500"),
        (["--params", '{"text": ""}', "--max-attempts", "0"], "max_attempts must be between 1 and"),
    ],
)
def test_wrong_usage_names_the_mistake(shop: Shop, arguments: list[str], problem: str) -> None:
    result = shop.run("enqueue", "Shout", *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert shop.records() == []


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "nothing.sqlite3"
    result = run(
        "enqueue", "Shout", "--registry", REGISTRY, "--database", f"sqlite:///{path}", "--params", '{"text": ""}'
    )
    assert result.exit_code == 3
    assert f"there is no SQLite database {path}; run `server-jobs migrate`" in result.stderr
    assert not path.exists()


def test_without_the_default_file_the_error_names_the_variable_of_another_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n")
    monkeypatch.chdir(tmp_path)
    path, variable = tmp_path / "server-jobs.sqlite3", "SERVER_JOBS_DATABASE_URL"
    advice = f"there is no SQLite database {path}; run `server-jobs migrate` against this database"

    assert f"{advice}, or set {variable} to the URL of another one\n" in run("list").stderr
    monkeypatch.setenv(variable, f"sqlite:///{path}")
    assert f"{advice}\n" in run("list").stderr


def test_params_are_checked_before_the_database_is_looked_at(tmp_path: Path) -> None:
    result = Shop(tmp_path / "nothing.sqlite3").run("enqueue", "Shout", "--params", "{}")
    assert result.exit_code == 1
    assert "/text: Field required" in result.stderr


def test_a_postgresql_server_that_is_away_is_named_without_the_password() -> None:
    result = run("list", "--database", "postgresql://ann:secret@127.0.0.1:1/shop")
    assert result.exit_code == 3
    assert "no PostgreSQL server answers at postgresql://ann:***@127.0.0.1:1/shop" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    "url", ["mysql://ann:secret@localhost/shop", "shop.sqlite3", "sqlite://ann:secret@[x", "sqlite://h/x"]
)
def test_an_unusable_database_url_is_refused_without_its_password(url: str) -> None:
    result = run("list", "--database", url)
    assert result.exit_code == 3
    assert "the database URL" in result.stderr
    assert "secret" not in result.stderr


def test_the_database_may_come_from_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", shop.url)
    result = run("enqueue", "Shout", "--registry", REGISTRY, "--params", '{"text": "hi"}')
    assert shop.record(result.stdout.strip()).job_name == "Shout"


def test_a_job_takes_the_place_of_an_unfinished_one_if_told_to(shop: Shop) -> None:
    first = shop.enqueue("Shout", "--unique-key", "k")
    again = ("enqueue", "Shout", "--unique-key", "k", "--params", '{"text": "new"}')

    kept, replaced = shop.run(*again), shop.run(*again, "--on-conflict", "replace")

    assert kept.stdout == replaced.stdout == f"{first}\n"
    assert "an unfinished job with the same unique key exists already" in kept.stderr
    assert "an unfinished job with the same unique key was there, and is replaced" in replaced.stderr
    assert json.loads(shop.record(first).params)["text"] == "new"


@pytest.mark.slow
def test_after_a_change_of_a_spec_an_error_comes_with_the_advice_to_generate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, {"send_email": job_spec("SendEmail")})
    project.generate()
    monkeypatch.chdir(project.root)

    def refusal(*arguments: str) -> str:
        command = [sys.executable, "-m", "server_jobs_cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (1, 2), done.stderr
        return done.stderr

    mistakes = (("enqueue", "SendEmail", "--params", '{"cc": 1}'), ("enqueue", "Welcome"), ("now", "Welcome"))
    advice = "run `server-jobs generate`"
    assert not any(advice in refusal(*mistake) for mistake in mistakes)
    project.write_spec("welcome", job_spec("Welcome"))
    assert all(advice in refusal(*mistake) for mistake in mistakes)
    shutil.rmtree(project.path(".server-jobs-cache"))  # as where only the generated code arrives
    assert not any(advice in refusal(*mistake) for mistake in mistakes)
