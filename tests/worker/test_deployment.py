"""Errors that keep a Worker from being deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worker.project import WorkerProject
from tests.worker.workerd import Workerd

HEADLINE = "from typing import Any"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import uuid\nNAME = uuid.uuid4()", "Cannot get entropy outside of request context"),
        ("import random\nNAME = random.random()", "Cannot use random.random() outside of request context"),
        ("import psycopg", "No module named 'psycopg'"),
    ],
    ids=["uuid4", "random", "missing"],
)
def test_a_handler_that_cannot_be_imported_there_fails_the_worker_and_is_named(
    chores_project: WorkerProject, tmp_path: Path, code: str, message: str
) -> None:
    project = chores_project.copy(tmp_path / "chores")
    project.edit("handlers/shout.py", HEADLINE, f"{HEADLINE}\n\n{code}")
    project.build()

    with Workerd(project) as worker:
        reply = worker.request("GET", "/_jobs/status")

    assert reply.status == 500
    assert message in reply.text
    assert "handlers/shout.py" in reply.text
