"""The pause before a process that died is restarted, and `worker --reload` in a project that is edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs_cli.worker.reloading import look
from server_jobs_cli.worker.supervisor import YOUNG, Restarts

from tests.cli.shop import run
from tests.cli.started import Started
from tests.generator.projects import TemporaryProject, generated_project, job_spec
from tests.prepared import prepared_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

HANDLER = """\
import sys
import time
from pathlib import Path


def handle(params, context):
    while params.text == "wait" and not Path("go").exists():
        time.sleep(0.02)
    print("handled by", VERSION, file=sys.stderr, flush=True)
    return {}


VERSION = "one"
"""


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    project = generated_project(tmp_path / "project", {"echo": job_spec("Echo")})
    edit(project, HANDLER)
    command(project, "migrate")
    return project


@pytest.fixture
def worker(project: TemporaryProject) -> Iterator[Started]:
    options = ("--reload", "--poll-interval", "50ms", "--drain-timeout", "20s")
    started = Started(
        subprocess.Popen(
            [sys.executable, "-m", "server_jobs_cli", "worker", *options],
            cwd=project.root,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    )
    yield started
    started.kill()


def edit(project: TemporaryProject, text: str) -> None:
    project.path("handlers/echo.py").write_text(text, encoding="utf-8")


def command(project: TemporaryProject, *arguments: str) -> None:
    subprocess.run([prepared_program(), *arguments], cwd=project.root, check=True, capture_output=True, timeout=60)


def enqueue(project: TemporaryProject, text: str) -> None:
    command(project, "enqueue", "Echo", "--params", json.dumps({"text": text}))


def test_a_worker_follows_the_code_and_finishes_its_jobs(project: TemporaryProject, worker: Started) -> None:
    worker.wait_for(r"worker\[1\] at work")
    enqueue(project, "wait")
    worker.wait_for("Echo .* started")
    edit(project, HANDLER.replace('"one"', '"two"'))
    worker.wait_for("handlers/echo.py changed; restarting the worker")
    project.path("go").touch()
    worker.wait_for("handled by one")
    worker.wait_for(r"worker\[1\] stopped: 1 completed, 0 failed attempts, 0 released")
    worker.wait_for(r"worker\[1\] at work")
    enqueue(project, "")
    worker.wait_for("handled by two")
    worker.signal()
    assert worker.wait() == 0, worker.text


@pytest.mark.slow
def test_a_worker_waits_for_code_that_can_be_imported_and_generates(project: TemporaryProject, worker: Started) -> None:
    worker.wait_for(r"worker\[1\] at work")
    edit(project, "def handle(:")
    worker.wait_for(r"worker\[1\] cannot be set up; waiting for a change")
    edit(project, HANDLER.replace('"one"', '"three"'))
    worker.wait_for(r"worker\[1\] at work")

    project.write_spec("echo", job_spec("Echo", queue="other"))
    worker.wait_for("specs/echo.json changed; generating")
    worker.wait_for(r"generated/jobs/echo.py.* changed; restarting the worker")
    worker.wait_for(r"worker\[1\] at work")
    enqueue(project, "")
    worker.wait_for("handled by three")
    worker.signal()
    assert worker.wait() == 0, worker.text


def test_libraries_environments_and_hidden_folders_are_not_watched(tmp_path: Path) -> None:
    for name in ("app.py", "shop/jobs.py", "specs/a.json", "specs/shared/b.yaml", "pyproject.toml"):
        _touch(tmp_path / name)
    expected = look(tmp_path, "specs")
    assert expected.keys() == {"app.py", "shop/jobs.py", "specs/a.json", "specs/shared/b.yaml", "pyproject.toml"}
    _touch(tmp_path / "env/pyvenv.cfg")
    for folder in (".venv", "env/lib", "node_modules/x", "shop/__pycache__", ".git"):
        _touch(tmp_path / folder / "x.py")
    for name in ("notes.txt", ".#app.py", "specs/a.json~"):
        _touch(tmp_path / name)
    (tmp_path / "round").symlink_to(tmp_path)
    assert look(tmp_path, "specs") == expected


@pytest.mark.parametrize(("option", "message"), [("--live", "--live shows one process"), ("--until-empty", "--reload")])
def test_reload_excludes_options(option: str, message: str) -> None:
    result = run("worker", "--reload", option)
    assert result.exit_code == 2
    assert message in result.stderr


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _pauses(*lives: float) -> list[float]:
    restarts, pauses = Restarts(), []
    for seconds in lives:
        restarts = restarts.after(timedelta(seconds=seconds))
        pauses.append(restarts.pause.total_seconds())
    return pauses


def test_a_process_that_ran_well_is_replaced_at_once_however_often_it_dies() -> None:
    assert _pauses(3_600, YOUNG.total_seconds(), 3_600) == [0, 0, 0]


def test_the_first_that_dies_young_is_replaced_at_once_and_further_ones_later_and_later() -> None:
    assert _pauses(*[0.1] * 9) == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_to_have_run_well_makes_up_for_all_deaths_before() -> None:
    assert _pauses(1, 1, 1, 10, 1, 1) == [0, 1, 2, 0, 0, 1]


def test_the_pause_stays_constant_in_the_end() -> None:
    assert Restarts(young_deaths=100_000).pause == timedelta(seconds=30)
