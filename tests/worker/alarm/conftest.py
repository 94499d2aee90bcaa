"""A Worker with the object of its alarm, as generated. The Workers of the other tests run jobs at ticks alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.conftest import Shared
from tests.worker.project import WITHOUT_ALARM, WorkerProject
from tests.worker.workerd import Workerd

RETRY_SECONDS = 3


@pytest.fixture(scope="session")
def alarm_project(shared: Shared, chores_project: WorkerProject) -> WorkerProject:
    """Return a project with the alarm, and with a job that is retried soon."""

    def make(root: Path) -> WorkerProject:
        project = chores_project.copy(root)
        for with_alarm, without in WITHOUT_ALARM:
            project.edit("generated/worker/wrangler.jsonc", without, with_alarm)
        project.edit("specs/stumble.json", '"PT10M"', f'"PT{RETRY_SECONDS}S"')
        project.generate()
        project.build()
        return project

    return shared("alarm", make)


@pytest.fixture(scope="module")
def alarm_worker(alarm_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """Yield its Worker, with an empty database and no schedules. Only the test calls its cron trigger."""
    with Workerd(alarm_project.copy(tmp_path_factory.mktemp("alarm") / "chores")) as worker:
        worker.sql("UPDATE cron_jobs SET enabled = 0")
        yield worker
