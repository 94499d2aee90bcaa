"""Attempts, workers and reasons over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from server_jobs.domain.record import KnownJob
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.engine.tick import tick
from server_jobs.testing.conformance.examples import request

from tests.server_jobs_http.caller import Caller
from tests.server_jobs_http.test_scopes import MAIL, SLOW, backend_of_two_queues, caller_with

WORKER = WorkerReport(
    id="w1", host="machine", pid=17, queues=("mail",), concurrency=5, version="1", known=(("Keep", 1),)
)


async def test_failed_attempts_are_returned_without_secrets() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "bad", "password": "bad"})
    await tick(call.backend)

    answer = await call("GET", f"/jobs/{job_id}/attempts")

    (attempt,) = answer.json()["attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["error_class"]) == (1, "failed", "ValueError")
    assert attempt["error"].startswith("ValueError: cannot keep •••")
    assert "Traceback" in attempt["traceback"]
    assert "ValueError: cannot keep •••" in attempt["traceback"]
    assert "bad" not in attempt["traceback"]
    assert (await call("GET", "/jobs/nobody/attempts")).status_code == 404


async def test_the_reasons_of_a_job_are_returned() -> None:
    call = Caller()
    await call.backend.initialize()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    await call.backend.store.pause_queue("default")

    document = (await call("GET", f"/jobs/{job_id}/why")).json()

    assert (document["id"], document["job_name"], document["status"]) == (job_id, "Keep", "pending")
    assert [reason["cause"] for reason in document["reasons"]] == ["queue paused", "no worker"]
    assert document["reasons"][0]["since"].endswith("+00:00")
    assert (await call("GET", "/jobs/nobody/why")).status_code == 404


async def test_workers_are_returned() -> None:
    call = Caller()
    await call.backend.store.renew([], timedelta(minutes=1), [WORKER])

    (worker,) = (await call("GET", "/workers")).json()["workers"]

    assert (worker["id"], worker["host"], worker["pid"], worker["alive"]) == ("w1", "machine", 17, True)
    assert (worker["queues"], worker["known_jobs"]) == (["mail"], [{"job_name": "Keep", "spec_version": 1}])


async def test_only_who_reads_every_queue_learns_where_a_job_runs() -> None:
    backend = Caller().backend
    await backend.initialize()
    job_id = backend.add_job(job_name="Keep", params={"text": "x"})
    await backend.store.renew([], timedelta(minutes=1), [replace(WORKER, host="hidden-host", pid=4711, queues=None)])
    assert await backend.store.claim_one(job_id, request(KnownJob("Keep", 1), worker_id=WORKER.id))

    texts = [
        (await caller_with([scope], backend)("GET", f"/jobs/{job_id}/why")).text for scope in ("read", "read:default")
    ]

    assert ["hidden-host" in text for text in texts] == [True, False]
    assert ["4711" in text for text in texts] == [True, False]
    assert "is running" in texts[1]


async def test_a_completion_job_counts_no_jobs_of_a_queue_that_its_reader_may_not_read() -> None:
    backend = backend_of_two_queues()
    body = {"params": [{"text": "x"}] * 7, "then": {"job_name": SLOW, "params": {"text": "x"}}}
    batch_id = (await caller_with(["enqueue"], backend)("POST", f"/batches/{MAIL}", body)).json()["id"]

    texts = [
        (await caller_with([scope], backend)("GET", f"/jobs/{batch_id}/why")).text for scope in ("read", "read:slow")
    ]

    assert ["of 7 jobs" in text for text in texts] == [True, False]
    assert "it waits until its batch has ended" in texts[1]
