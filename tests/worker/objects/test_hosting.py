"""Durable Objects in Python, as the Worker of these tests and of `make dev-worker` hosts them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.worker import tools
from tests.worker.project import WorkerProject
from tests.worker.workerd import Workerd

SETTINGS = "generated/worker/wrangler.jsonc"
OBJECTS = """"durable_objects": { "bindings": [{ "name": "DIARY", "class_name": "Diary" }] },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Diary"] }],
  """


@pytest.fixture
def diary_project(chores_project: WorkerProject, tmp_path: Path) -> WorkerProject:
    """Return a project whose Worker has an object of its own."""
    project = chores_project.copy(tmp_path / "diary")
    source = tools.HERE / "objects/diary.py"
    (project.root / "diary.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    project.edit(SETTINGS, '"python3 bundle.py"', '"python3 bundle.py && cp ../../diary.py build"')
    project.edit(SETTINGS, '"build/main.py"', '"build/diary.py"')
    project.edit(SETTINGS, '"observability"', f'{OBJECTS}"observability"')
    project.build()
    return project


def lines(worker: Workerd, path: str) -> list[str]:
    reply = worker.request("GET", path)
    assert reply.status == 200, reply.text
    found: list[str] = reply.body
    return found


def wait_for(worker: Workerd, path: str, expected: list[str]) -> None:
    deadline = time.monotonic() + 60
    while (found := lines(worker, path)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_objects_keep_their_rows_and_alarms_when_workerd_is_killed(diary_project: WorkerProject) -> None:
    with Workerd(diary_project) as worker:
        assert lines(worker, "/a?write=one&wake=2") == ["one"]
        assert lines(worker, "/b?write=other") == ["other"]
        worker.kill()

    with Workerd(diary_project) as worker:
        wait_for(worker, "/a", ["one", "alarm"])
        assert lines(worker, "/b") == ["other"]


def test_an_alarm_that_fails_is_called_again(diary_project: WorkerProject) -> None:
    with Workerd(diary_project) as worker:
        lines(worker, "/a?write=fail&wake=0")

        wait_for(worker, "/a", ["fail", "alarm", "alarm"])


def test_an_object_without_its_class_fails_the_worker(diary_project: WorkerProject) -> None:
    diary_project.edit("diary.py", "class Diary(DurableObject)", "class Diaries(DurableObject)")
    diary_project.build()

    with Workerd(diary_project) as worker:
        reply = worker.request("GET", "/a")

    assert reply.status == 500
    assert "the main module defines no class Diary(DurableObject)" in reply.text
