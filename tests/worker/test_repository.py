"""The Worker of this repository, as generated, with the example jobs and their handlers."""

from __future__ import annotations

from datetime import datetime, timedelta

from server_jobs import JobStatus
from server_jobs.project import find_project
from server_jobs_cloudflare import CloudflareWorkerBackend
from server_jobs_outputs.cloudflare.configuration import patterns_taking, read_settings

from generated.jobs import SendEmail
from generated.registry import registry
from tests.worker.tools import REPOSITORY
from tests.worker.workerd import RemoteD1, Workerd

LARGEST_UPLOAD = 2430  # KiB compressed (2.4 MiB); 1390 of these are pydantic's compiled core, 180 the dashboard


async def test_a_job_that_an_application_enqueues_is_run_by_the_next_tick(repository_worker: Workerd) -> None:
    backend = CloudflareWorkerBackend(database=RemoteD1(repository_worker), job_registry=registry)
    job = await SendEmail.using(backend).later({"to": ["ada@example.com"], "subject": "Hello", "body": "It runs."})

    repository_worker.tick()

    result = await job.result()
    assert result.metadata.status is JobStatus.COMPLETED
    assert result.data.recipients == ["ada@example.com"]


async def test_the_view_of_a_job_shows_it_in_d1(repository_worker: Workerd) -> None:
    backend = CloudflareWorkerBackend(database=RemoteD1(repository_worker), job_registry=registry)
    job = await SendEmail.using(backend).later({"to": ["bo@example.com"], "subject": "Viewed", "body": "It shows."})
    repository_worker.tick()
    result = await job.result()

    [shown] = repository_worker.sql(
        "SELECT status, params_to, params_subject, result_sent_at FROM send_email_jobs WHERE params_subject = 'Viewed'"
    )

    sent_at = datetime.fromisoformat(str(shown.pop("result_sent_at")))
    assert shown == {"status": "completed", "params_to": '["bo@example.com"]', "params_subject": "Viewed"}
    assert abs(sent_at - result.data.sent_at) <= timedelta(milliseconds=1)


def test_the_upload_is_small(repository_worker: Workerd) -> None:
    _, compressed = repository_worker.project.upload_sizes

    assert compressed <= LARGEST_UPLOAD


def test_each_pattern_excludes_an_installed_file(repository_worker: Workerd) -> None:
    patterns = read_settings(find_project(REPOSITORY)).excluded
    modules = repository_worker.project.folder / "python_modules"
    files = [path.relative_to(modules).as_posix() for path in modules.rglob("*") if path.is_file()]
    working = {pattern for file in files for pattern in patterns_taking([file], patterns)}
    idle = [pattern for pattern in patterns if pattern not in working]

    assert idle == ["**/*.pyc"]  # nothing is compiled here, but other installers compile
