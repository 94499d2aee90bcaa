"""`server-jobs list` and `server-jobs show` with any content of rows."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console
from server_jobs_cli.console.output import stdout_console
from server_jobs_cli.jobs import list_jobs

from tests.cli.shop import Shop, run


def rows(value: object) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", value)


def test_jobs_are_listed_newest_first_with_their_outcome(shop: Shop) -> None:
    first = shop.enqueue("Shout")
    second = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.run("tick")
    header, *lines = shop.run("list").stdout.splitlines()
    assert header.split() == ["id", "job", "status", "progress", "attempts", "created", "took", "result", "or", "error"]
    assert [line.split()[:5] for line in lines] == [
        [second, "Shout", "failed", "50%", "1/1"],
        [first, "Shout", "completed", "100%", "1/2"],
    ]
    assert "BadDayError" in lines[0]
    assert lines[1].rstrip().endswith('{"text":"HELLO"}')


def test_a_pending_job_is_listed_with_the_time_until_it_is_due(shop: Shop) -> None:
    shop.enqueue("Shout")
    assert "due in" not in shop.run("list").stdout
    shop.enqueue("Shout", "--delay", "2h")

    assert re.search(r"due in (2h 0m|1h 59m)", shop.run("list").stdout)


def test_filters_choose_jobs(shop: Shop) -> None:
    shout = shop.enqueue("Shout", "--correlation-id", "c1")
    nap = shop.enqueue("Nap")
    shop.run("cancel", nap)

    def ids(*filters: str) -> list[object]:
        return [row["id"] for row in rows(shop.json("list", *filters))]

    assert ids() == [nap, shout]
    assert ids("--job", "Shout") == ids("--queue", "mail") == ids("--status", "pending") == [shout]
    assert ids("--correlation-id", "c1") == [shout]
    assert ids("--limit", "1") == [nap]
    assert ids("--before", nap) == [shout]


def test_the_jobs_of_a_batch_are_listed(shop: Shop) -> None:
    shop.enqueue("Shout")
    job_id, batch_id = shop.enqueue("Shout"), "0198f2c4-0000-7000-8000-000000000000"
    with closing(sqlite3.connect(shop.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE jobs SET batch_id = ? WHERE id = ?", (batch_id, job_id))

    assert [row["id"] for row in rows(shop.json("list", "--batch", batch_id))] == [job_id]
    assert f"batch        {batch_id}" in shop.run("show", job_id).stdout
    assert cast("dict[str, object]", shop.json("show", job_id))["batch_id"] == batch_id
    assert shop.run("cancel", "--batch", batch_id, "--yes").exit_code == 0
    assert [row["id"] for row in rows(shop.json("list", "--status", "cancelled"))] == [job_id]


def test_a_full_page_says_how_to_go_on(shop: Shop) -> None:
    shop.enqueue("Shout")
    newest = shop.enqueue("Shout")
    assert f"add --before {newest}" in shop.run("list", "--limit", "1").stderr


def test_an_empty_list_prints_a_note_on_stderr(shop: Shop) -> None:
    result = shop.run("list", "--job", "Shuot")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no job is called 'Shuot' here; did you mean 'Shout'?\nno jobs\n"
    assert shop.json("list") == []


def test_a_list_never_contains_params(shop: Shop) -> None:
    shop.enqueue("Shout", secret="hidden-value")
    assert "hidden-value" not in shop.run("list", "--json").output


def test_a_list_needs_no_project(shop: Shop, tmp_path: Path) -> None:
    shop.enqueue("Shout")
    result = run("list", "--project", str(tmp_path), "--database", shop.url)
    assert result.exit_code == 0
    assert "Shout" in result.stdout


@pytest.mark.parametrize("width", [60, 80, 119, 120, 200])
def test_ids_are_whole_on_every_terminal(shop: Shop, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminal() -> Console:
        console = stdout_console()
        console.width = width
        return console

    monkeypatch.setattr(list_jobs, "stdout_console", terminal)
    job_id = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.run("tick")
    output = shop.run("list").stdout
    assert job_id in output
    assert "failed" in output
    assert all(len(line) <= width for line in output.splitlines())


def test_a_job_is_shown_with_everything_but_its_secrets(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--correlation-id", "c1", secret="hidden-value")
    shop.run("tick")
    output = shop.run("show", job_id).stdout
    assert output.startswith(f"Shout  {job_id}  completed\n")
    for expected in ("mail, priority 0", "1 of 2", "c1", '"text": "hello"', '"secret": "•••"', '"text": "HELLO"'):
        assert expected in output
    assert "hidden-value" not in output
    assert "hidden-value" not in shop.run("show", job_id, "--json").output


def test_a_failed_job_is_shown_with_the_class_of_its_error(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.run("tick")
    assert "  error class  BadDayError\n" in shop.run("show", job_id).stdout


def test_secrets_are_revealed_on_request(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", secret="hidden-value")
    assert '"secret": "hidden-value"' in shop.run("show", job_id, "--reveal").stdout
    shown = shop.json("show", job_id, "--reveal")
    assert isinstance(shown, dict)
    assert shown["params"] == {"text": "hello", "secret": "hidden-value", "seconds": 0.0}


def test_params_of_an_unknown_job_are_hidden(shop: Shop, tmp_path: Path) -> None:
    job_id = shop.enqueue("Shout", secret="hidden-value")
    elsewhere = run("show", job_id, "--database", shop.url, "--project", str(tmp_path))
    assert "hidden, --reveal shows them: the registry" in elsewhere.stdout
    shop.execute("UPDATE jobs SET job_name = 'Gone'")
    unknown = shop.run("show", job_id)
    assert "Gone is not registered here" in unknown.stdout
    for result in (elsewhere, unknown, shop.run("show", job_id, "--json")):
        assert result.exit_code == 0
        assert "hidden-value" not in result.output


def test_an_id_that_is_not_there_is_no(shop: Shop) -> None:
    result = shop.run("show", "nothing")
    assert (result.exit_code, result.stderr) == (1, "Error: there is no job with the id 'nothing'\n")
    assert json.loads(shop.run("show", "nothing", "--json").stdout)["error"]["type"] == "JobNotFoundError"


HOSTILE = "\x1b]0;owned\x07\x1b[2J[red]markup[/red] \u202egnol\r\nforged line"


def test_hostile_rows_are_shown_and_control_nothing(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")
    shop.execute(
        "UPDATE jobs SET job_name = :text, queue = :text, error = :text, progress_message = :text, result = :text, "
        "params = :text, correlation_id = :text, unique_key = :text",
        text=HOSTILE,
    )
    for arguments in (("list",), ("list", "--json"), ("show", job_id), ("show", job_id, "--reveal", "--json")):
        output = shop.run(*arguments).output
        assert "[red]markup[/red]" in output
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(output)
        assert "\nforged" not in output


@pytest.mark.parametrize("params", ["not json", "[" * 2_000, '"text"', "[1]", "null"])
def test_params_that_are_no_object_are_shown_without_a_traceback(shop: Shop, params: str) -> None:
    job_id = shop.enqueue("Shout")
    shop.execute("UPDATE jobs SET params = :params, result = :params", params=params)
    assert shop.run("show", job_id).exit_code == 0
    assert shop.run("show", job_id, "--reveal", "--json").exit_code == 0
    assert shop.run("list").exit_code == 0
