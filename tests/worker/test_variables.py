"""The effect of a Worker's secrets and variables on access."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs import JobStatus
from server_jobs.security.tokens import NamedToken, rights_of
from server_jobs_cloudflare import CloudflareWorkerBackend

from tests.worker.chores.jobs import REGISTRY, Shout
from tests.worker.project import TOKEN, WorkerProject
from tests.worker.workerd import RemoteD1, Workerd

ROUTES = ("/_jobs/status", "/_jobs/health", "/_jobs/jobs", "/_jobs/jobs/Shout", "/_jobs/openapi.json", "/_jobs", "/")


@pytest.mark.parametrize("secrets", [{}, {"JOBS_TOKEN": ""}], ids=["missing", "empty"])
async def test_without_a_token_there_is_no_route_but_jobs_run(
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


def test_a_web_page_is_answered_where_a_variable_allows_its_origin(
    chores_project: WorkerProject, tmp_path: Path
) -> None:
    project = chores_project.copy(tmp_path / "chores")
    project.give_secrets(JOBS_TOKEN=TOKEN, JOBS_ALLOWED_ORIGINS="https://admin.example", JOBS_ALLOWED_HOSTS="127.0.0.1")
    page, asks = {"origin": "https://admin.example"}, {"access-control-request-method": "POST"}
    with Workerd(project) as worker:
        preflight = worker.request("OPTIONS", "/_jobs/trigger", token=None, headers=page | asks)
        triggered = worker.request("POST", "/_jobs/trigger", headers=page)
        other = worker.request("POST", "/_jobs/trigger", headers={"origin": "https://evil.example"})
        elsewhere = worker.request("POST", "/_jobs/trigger", headers={"host": "evil.example"})

    assert [reply.status for reply in (preflight, triggered, other, elsewhere)] == [200, 200, 403, 421]


def test_a_token_with_scopes_opens_their_routes(chores_project: WorkerProject, tmp_path: Path) -> None:
    project = chores_project.copy(tmp_path / "chores")
    named = NamedToken.of("reader", rights_of(["read"]), TOKEN)
    project.give_secrets(JOBS_TOKENS=f"{named.line}; # nobody else")
    with Workerd(project) as worker:
        statuses = [worker.request(*call).status for call in (("GET", "/_jobs/status"), ("POST", "/_jobs/trigger"))]
        unknown = worker.request("GET", "/_jobs/status", token="x").status

    assert [*statuses, unknown] == [200, 403, 401]
