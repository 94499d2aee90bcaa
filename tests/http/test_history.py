"""Attempts, workers and reasons over HTTP."""

from __future__ import annotations

from datetime import timedelta

from server_jobs.domain.history import WorkerReport
from server_jobs.engine.tick import tick

from tests.http.caller import Caller

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
