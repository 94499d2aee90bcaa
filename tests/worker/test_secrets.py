"""A Worker without its secrets: nothing of it answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs import JobStatus
from server_jobs.cloudflare import CloudflareWorkerBackend

from tests.worker.chores.jobs import REGISTRY, Shout
from tests.worker.project import WorkerProject
from tests.worker.workerd import RemoteD1, Workerd

ROUTES = ("/_jobs/status", "/_jobs/health", "/_jobs/jobs", "/_jobs/jobs/Shout", "/_jobs/openapi.json", "/_jobs", "/")


@pytest.mark.parametrize("secrets", [{}, {"JOBS_TOKEN": ""}], ids=["missing", "empty"])
async def test_without_a_token_there_is_no_route_and_jobs_run_all_the_same(
    chores_project: WorkerProject, tmp_path: Path, secrets: dict[str, str]
) -> None:
    project = chores_project.copy(tmp_path / "chores")
    project.give_secrets(**secrets)
    with Workerd(project) as worker:
        job = await Shout.using(CloudflareWorkerBackend(database=RemoteD1(worker), job_registry=REGISTRY)).later(
            {"text": "hello"}
        )
        statuses = {worker.request(method, path).status for path in ROUTES for method in ("GET", "POST")}
        large = worker.post("/_jobs/jobs/Shout", b"x" * 20_000_000)
        worker.tick()
        status = await job.status()

    assert statuses == {404}
    assert large == 404
    assert status is JobStatus.COMPLETED
