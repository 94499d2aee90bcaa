"""The routes over real HTTP."""

from __future__ import annotations

from server_jobs_cloudflare import CloudflareWorkerBackend
from server_jobs_http import Tokens

from tests.worker.chores.jobs import Shout
from tests.worker.project import TOKEN
from tests.worker.workerd import Workerd


async def test_a_trigger_runs_due_jobs_and_the_status_shows_them(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    job = await Shout.using(backend).later({"text": "hello"})

    triggered = worker.request("POST", "/_jobs/trigger")
    status = worker.request("GET", "/_jobs/status")

    assert triggered.body == {"status": "triggered", "expired": 0, "scheduled": 0, "completed": 1, "failed": 0}
    assert status.body["counts"] == [{"job_name": "Shout", "status": "completed", "count": 1}]
    assert [shown["id"] for shown in status.body["jobs"]] == [job]


def test_a_request_without_the_right_token_is_refused(worker: Workerd) -> None:
    for token in (None, "", "wrong", "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYj"):
        assert worker.request("GET", "/_jobs/status", token=token).status == 401
        assert worker.request("POST", "/_jobs/trigger", token=token).status == 401


def test_other_paths_and_methods_are_refused(worker: Workerd) -> None:
    assert worker.request("GET", "/").status == 404
    assert worker.request("GET", "/_jobs/trigger").status == 405
    assert worker.request("POST", "/_jobs/status").status == 405


def test_a_job_that_a_request_enqueues_runs_at_once_and_not_with_the_next_tick(worker: Workerd) -> None:
    created = worker.request("POST", "/_jobs/jobs/Shout", document={"params": {"text": "hello"}})

    assert created.status == 201
    assert worker.finished(created.body["id"])["result"] == {"text": "HELLO"}


def test_the_progress_of_a_job_is_streamed(worker: Workerd) -> None:
    created = worker.request("POST", "/_jobs/jobs/Shout", document={"params": {"text": "hello"}})

    stream = worker.request("GET", f"/_jobs/jobs/{created.body['id']}/events").text

    assert "event: end" in stream
    assert '"status": "completed"' in stream
    link = Shout.handle(created.body["id"]).events_link(tokens=Tokens(TOKEN))
    assert worker.request("GET", link, token=None).text == stream
    assert worker.request("GET", f"{link}A", token=None).status == 403


def test_invalid_params_are_reported_with_pointers_and_not_stored(worker: Workerd) -> None:
    refused = worker.request("POST", "/_jobs/jobs/Shout", document={"params": {"text": 5}})
    unknown = worker.request("POST", "/_jobs/jobs/Shuot", document={"params": {}})

    assert (refused.status, refused.body["errors"][0]["pointer"]) == (422, "/params/text")
    assert unknown.status == 404
    assert worker.sql("SELECT count(*) AS count FROM jobs") == [{"count": 0}]


def test_a_body_that_is_too_large_is_refused(worker: Workerd) -> None:
    for size in (2_000_000, 20_000_000):
        assert worker.post("/_jobs/jobs/Shout", b"x" * size) == 413
        assert worker.post("/_jobs/jobs/Shout", b"x" * size, token=None) == 401
    assert worker.sql("SELECT count(*) AS count FROM jobs") == [{"count": 0}]


def test_a_body_that_is_too_large_is_refused_before_it_comes(worker: Workerd) -> None:
    length = {"content-length": "20000000"}

    assert worker.post("/_jobs/jobs/Shout", headers=length) == 413
    assert worker.post("/_jobs/jobs/Shout", headers=length, token=None) == 401


def test_a_body_needs_a_length(worker: Workerd) -> None:
    chunked = {"transfer-encoding": "chunked"}

    assert worker.post("/_jobs/jobs/Shout", headers=chunked) == 411
    assert worker.post("/_jobs/jobs/Shout", headers=chunked, token=None) == 401


def test_pages_of_other_sites_may_not_write(worker: Workerd) -> None:
    reply = worker.request("POST", "/_jobs/trigger", headers={"origin": "https://evil.example"})

    assert reply.status == 403


def test_the_other_routes_are_there_as_well(worker: Workerd) -> None:
    for path in ("/_jobs/health", "/_jobs/metrics", "/_jobs/jobs", "/_jobs/openapi.json"):
        assert worker.request("GET", path).status == 200
        assert worker.request("GET", path, token=None).status == 401
