"""The Worker of this repository, as it is generated, with the example jobs and their handlers."""

from __future__ import annotations

from server_jobs import JobStatus
from server_jobs.cloudflare import CloudflareWorkerBackend

from generated.jobs import SendEmail
from generated.registry import registry
from tests.worker.workerd import RemoteD1, Workerd

LARGEST_UPLOAD = 2150  # KiB compressed, of which 1390 are pydantic's compiled core


async def test_a_job_that_an_application_enqueues_is_run_by_the_next_tick(repository_worker: Workerd) -> None:
    backend = CloudflareWorkerBackend(database=RemoteD1(repository_worker), job_registry=registry)
    job = await SendEmail.using(backend).later({"to": ["ada@example.com"], "subject": "Hello", "body": "It runs."})

    repository_worker.tick()

    result = await job.result()
    assert result.metadata.status is JobStatus.COMPLETED
    assert result.data.recipients == ["ada@example.com"]


def test_the_upload_is_small(repository_worker: Workerd) -> None:
    _, compressed = repository_worker.project.upload_sizes

    assert compressed <= LARGEST_UPLOAD
