"""The routes over real HTTP."""

from __future__ import annotations

from server_jobs.cloudflare import CloudflareWorkerBackend

from tests.worker.chores.jobs import Shout
from tests.worker.workerd import Workerd


async def test_a_trigger_runs_what_is_due_and_the_status_shows_it(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    job = await Shout.using(backend).later({"text": "hello"})

    triggered = worker.request("POST", "/_jobs/trigger")
    status = worker.request("GET", "/_jobs/status")

    assert triggered.body == {"status": "triggered", "expired": 0, "scheduled": 0, "completed": 1, "failed": 0}
    assert status.body["counts"] == [{"job_name": "Shout", "status": "completed", "count": 1}]
    assert [shown["id"] for shown in status.body["jobs"]] == [job]


def test_a_request_without_the_right_token_is_refused(worker: Workerd) -> None:
    for token in (None, "", "wrong", "a-token-of-more-than-thirty-two-characterz"):
        assert worker.request("GET", "/_jobs/status", token=token).status == 401
        assert worker.request("POST", "/_jobs/trigger", token=token).status == 401


def test_other_paths_and_methods_are_refused(worker: Workerd) -> None:
    assert worker.request("GET", "/").status == 404
    assert worker.request("GET", "/_jobs/trigger").status == 405
    assert worker.request("POST", "/_jobs/status").status == 405
