"""A Worker with jobs in a Turso database, reached by workerd's `fetch`; and a Worker without a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_jobs import JobStatus
from server_jobs_cloudflare import CloudflareWorkerBackend
from server_jobs_turso.database import TursoDatabase

from tests.conformance.hrana_server import HranaServer
from tests.conformance.stores import TURSO_TOKEN, create_sqlite_file
from tests.worker.chores.jobs import REGISTRY, Shout
from tests.worker.project import TOKEN, WorkerProject
from tests.worker.workerd import Workerd

OTHER_TOKEN = TURSO_TOKEN.replace("signature", "another")


@pytest.fixture
def turso(tmp_path: Path) -> Iterator[HranaServer]:
    create_sqlite_file(tmp_path / "turso.sqlite3")
    with HranaServer(tmp_path / "turso.sqlite3", TURSO_TOKEN) as server:
        yield server


@pytest.fixture
def project(chores_project: WorkerProject, tmp_path: Path) -> WorkerProject:
    return chores_project.copy(tmp_path / "chores")


async def test_a_worker_runs_the_jobs_of_a_turso_database(project: WorkerProject, turso: HranaServer) -> None:
    project.give_secrets(JOBS_TOKEN=TOKEN, TURSO_DATABASE_URL=turso.url, TURSO_AUTH_TOKEN=TURSO_TOKEN)
    database = TursoDatabase(turso.url, auth_token=TURSO_TOKEN)
    backend = CloudflareWorkerBackend(database=database, job_registry=REGISTRY)
    with Workerd(project) as worker:
        created = worker.request("POST", "/_jobs/jobs/Shout", document={"params": {"text": "at once"}})
        at_once = worker.finished(created.body["id"])
        by_a_tick = await Shout.using(backend).later({"text": "by a tick"})
        worker.tick()
        record = await by_a_tick.record()
        in_d1 = worker.sql("SELECT count(*) AS count FROM jobs")
    await backend.shutdown()

    assert (created.status, at_once["result"]) == (201, {"text": "AT ONCE"})
    assert (record.status, record.result) == (JobStatus.COMPLETED, '{"text":"BY A TICK"}')
    assert in_d1 == [{"count": 0}]
    assert turso.open_streams == 0


def test_a_wrong_token_of_the_database_is_named_in_the_log_alone_and_shown_nowhere(
    project: WorkerProject, turso: HranaServer
) -> None:
    project.give_secrets(JOBS_TOKEN=TOKEN, TURSO_DATABASE_URL=turso.url, TURSO_AUTH_TOKEN=OTHER_TOKEN)
    with Workerd(project) as worker:
        reply = worker.request("GET", "/_jobs/status")
        with pytest.raises(AssertionError, match="exception"):
            worker.tick()

    assert (reply.status, reply.body["title"]) == (503, "the database cannot be used now")
    assert "refuses access: it does not take the token" in worker.log
    assert "TURSO_AUTH_TOKEN" in worker.log
    assert OTHER_TOKEN not in reply.text + worker.log


def test_a_worker_without_a_database_names_the_missing_setting(project: WorkerProject) -> None:
    project.edit("generated/worker/wrangler.jsonc", '"binding": "DB"', '"binding": "OTHER"')
    with Workerd(project) as worker:
        reply = worker.request("GET", "/_jobs/status")

    assert reply.status == 503
    assert "the Worker has no database: bind D1 as DB under d1_databases in wrangler.jsonc" in worker.log
