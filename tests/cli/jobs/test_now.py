"""`server-jobs now` and `server-jobs tick` run jobs in their own process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from server_jobs import JobStatus

from tests.cli.shop import REGISTRY, Shop, run
from tests.conformance.stores import create_sqlite_file
from tests.generator.projects import generated_project, job_spec
from tests.prepared import prepared_program

_ENQUEUES_A_COPY = """
import sys
from server_jobs import JobContext
from generated.jobs import Copy
from generated.models.letter import LetterParams, LetterResult

async def handle(params: LetterParams, context: JobContext) -> LetterResult:
    assert "generated.jobs.unrelated" not in sys.modules
    await Copy.later({})
    return LetterResult()
"""


def test_now_prints_the_result_and_leaves_a_completed_row(shop: Shop) -> None:
    result = shop.run("now", "Shout", "--params", '{"text": "hi"}')
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"text": "HI"}
    (record,) = shop.records()
    assert result.stderr.endswith(f"info     [Shout {record.id} attempt 1] shouted\n")
    assert record.status is JobStatus.COMPLETED


def test_without_persistence_now_needs_no_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nothing.sqlite3"
    result = run(
        "now", "Shout", "--no-persist", "--params", '{"text": "hi"}', "--registry", REGISTRY, "--database", url
    )
    assert json.loads(result.stdout) == {"text": "HI"}
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_the_exit_status_and_the_handlers_traceback_is_shown(shop: Shop) -> None:
    result = shop.run("now", "Shout", "--params", '{"text": "fail"}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: Shout failed: BadDayError: a \\u001b[31mbad" in result.stderr
    assert 'raise BadDayError("a' in result.stderr
    assert "executor.py" not in result.stderr
    assert "it has attempts left: a worker will try again" in result.stderr
    assert "\x1b" not in result.stderr


def test_with_json_a_failure_is_json(shop: Shop) -> None:
    result = shop.run("now", "Shout", "--params", '{"text": "fail"}', "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["status"], document["result"]) == ("pending", None)
    assert document["error"].startswith("BadDayError: a \x1b[31mbad")


def test_params_are_checked_first(shop: Shop) -> None:
    result = shop.run("now", "Shout", "--params", '{"text": 1}')
    assert result.exit_code == 1
    assert "/text: Input should be a valid string, got 1" in result.stderr
    assert shop.records() == []


def test_a_stub_is_not_run(shop: Shop) -> None:
    result = shop.run("now", "Stub", "--params", '{"text": "hi"}')
    assert result.exit_code == 1
    assert result.stderr == "Error: the handler of Stub is still a stub; implement it and start the worker again\n"
    assert shop.records() == []


def test_a_tick_runs_due_jobs_and_reports_them(shop: Shop) -> None:
    shop.enqueue("Shout")
    shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    later = shop.enqueue("Shout", "--delay", "1h")
    result = shop.run("tick")
    assert result.exit_code == 0
    assert result.stdout == "1 completed, 1 failed; 0 made by schedules, 0 with an expired lease\n"
    assert shop.record(later).status is JobStatus.PENDING


def test_a_tick_stops_at_its_limit(shop: Shop) -> None:
    for _ in range(3):
        shop.enqueue("Shout")
    assert shop.json("tick", "--limit", "2") == {
        "expired": 0,
        "late": 0,
        "scheduled": 0,
        "unfired": 0,
        "completed": 2,
        "failed": 0,
    }


def test_now_imports_its_own_job_and_its_handler_may_enqueue_others(tmp_path: Path) -> None:
    specs = {name: job_spec(name.title()) for name in ("letter", "copy", "unrelated")}
    project = generated_project(tmp_path, specs)
    project.path("handlers/letter.py").write_text(_ENQUEUES_A_COPY, encoding="utf-8")
    project.path("handlers/unrelated.py").write_text("raise OSError('a library is missing')", encoding="utf-8")
    create_sqlite_file(tmp_path / "server-jobs.sqlite3")

    def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [prepared_program(), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    ran = run_command("now", "letter")
    assert (ran.returncode, ran.stdout) == (0, "{}\n"), ran.stderr
    listed = json.loads(run_command("list", "--json").stdout)
    assert sorted((job["job_name"], job["status"]) for job in listed) == [("Copy", "pending"), ("Letter", "completed")]
