"""`worker --reload` runs the source, also of modules whose bytecode looks right: changed in one second, of one size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.started import Started
from tests.generator.projects import TemporaryProject, generated_project, job_spec
from tests.prepared import prepared_program
from tests.stale_bytecode import compile_in_second, edit_in_second

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

HANDLER = """\
import sys

from shop import words

VERSION = "one"


def handle(params, context):
    from generated import jobs

    model = type(params).model_fields["text"].default
    generated = getattr(jobs, context.job_name).options.queue
    print(context.job_name, "ran", VERSION, words.WORD, model, generated, file=sys.stderr, flush=True)
    return {}
"""
EDITED = (
    "handlers/echo.py",
    "handlers/apart.py",
    "shop/words.py",
    "generated/models/echo.py",
    "generated/models/apart.py",
    "generated/jobs/echo.py",
    "generated/jobs/apart.py",
)


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    specs = {"echo": job_spec("Echo", queue="one"), "apart": job_spec("Apart", queue="one", runIn="process")}
    for spec in specs.values():
        spec["properties"]["params"]["properties"]["text"]["default"] = "one"  # type: ignore[index]  # JSON
    project = generated_project(tmp_path / "project", specs)
    for name in specs:
        project.path(f"handlers/{name}.py").write_text(HANDLER, encoding="utf-8")
    project.path("shop").mkdir()
    project.path("shop/words.py").write_text('WORD = "one"\n', encoding="utf-8")
    command(project, "migrate")
    for path in EDITED:
        compile_in_second(project.path(path))
    return project


@pytest.fixture(params=[1, 2])
def processes(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def worker(project: TemporaryProject, processes: int) -> Iterator[Started]:
    options = ("--reload", "--processes", str(processes), "--poll-interval", "50ms")
    started = Started(
        subprocess.Popen(
            [sys.executable, "-m", "server_jobs_cli", "worker", *options],
            cwd=project.root,
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    )
    wait_until_at_work(started, processes)
    yield started
    started.kill()


def wait_until_at_work(worker: Started, processes: int) -> None:
    worker.wait_for_all(*(rf"worker\[{number + 1}\] at work" for number in range(processes)))


def command(project: TemporaryProject, *arguments: str) -> None:
    subprocess.run([prepared_program(), *arguments], cwd=project.root, check=True, capture_output=True, timeout=60)


def test_handlers_models_and_modules_of_a_restarted_worker_are_the_new_ones(
    project: TemporaryProject, worker: Started, processes: int
) -> None:
    worker.signal(signal.SIGSTOP)  # one restart for all edits
    for path in EDITED:
        edit_in_second(project.path(path), '"one"', '"two"')
    worker.signal(signal.SIGCONT)
    worker.wait_for("changed; restarting the worker")
    wait_until_at_work(worker, processes)
    command(project, "enqueue", "Echo")
    command(project, "enqueue", "Apart")
    worker.wait_for_all("Echo ran two two two two", "Apart ran two two two two")
    worker.signal()
    assert worker.wait() == 0, worker.text
