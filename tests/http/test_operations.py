"""The routes for whoever runs the system."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.domain.record import NewJob
from server_jobs.engine.tick import tick
from server_jobs.errors import DatabaseError
from server_jobs.http import HttpOptions

from tests.http.caller import Caller


async def test_a_trigger_runs_what_is_due() -> None:
    call = Caller()
    call.backend.add_job(job_name="Keep", params={"text": "x"})
    call.backend.add_job(job_name="Keep", params={"text": "bad"})

    reply = await call("POST", "/trigger")

    assert (reply.status_code, reply.json()) == (
        200,
        {"status": "triggered", "expired": 0, "scheduled": 0, "completed": 1, "failed": 1},
    )


async def test_a_trigger_keeps_within_its_budget() -> None:
    call = Caller(options=HttpOptions(trigger_budget=timedelta(0)))
    call.backend.add_job(job_name="Keep", params={"text": "x"})

    assert (await call("POST", "/trigger")).json()["completed"] == 0


async def test_the_status_counts_jobs_and_shows_the_newest() -> None:
    call = Caller()
    call.backend.add_job(job_name="Keep", params={"text": "x"})
    call.backend.add_job(job_name="Keep", params={"text": "bad"})
    await tick(call.backend)
    waiting = call.backend.add_job(job_name="Keep", params={"text": "x"})
    await call.backend.store.pause_queue("mail")

    found = (await call("GET", "/status")).json()

    assert {(one["job_name"], one["status"], one["count"]) for one in found["counts"]} == {
        ("Keep", "completed", 1),
        ("Keep", "failed", 1),
        ("Keep", "pending", 1),
    }
    assert (found["jobs"][0]["id"], len(found["jobs"])) == (waiting, 3)
    assert found["paused_queues"] == ["mail"]


async def test_health_says_whether_the_database_answers_and_not_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call = Caller()
    well = await call("GET", "/health")

    async def away() -> None:
        raise DatabaseError("no route to db.internal")

    monkeypatch.setattr(call.backend.store, "ping", away)
    ill = await call("GET", "/health")

    assert (well.status_code, well.json()) == (200, {"ok": True})
    assert (ill.status_code, ill.json()) == (503, {"ok": False})
    assert "no route to db.internal" in caplog.text


async def test_metrics_are_what_prometheus_reads() -> None:
    call = Caller()
    for text in ("x", "bad"):
        call.backend.add_job(job_name="Keep", params={"text": text})
    await call.backend.store.insert([NewJob(id="p", job_name="Keep", params='{"text":5}')])
    await tick(call.backend)
    call.backend.add_job(job_name="Keep", params={"text": "x"})
    await call.backend.store.pause_queue('a "b"\\\nc')

    reply = await call("GET", "/metrics")

    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = reply.text.splitlines()
    assert 'server_jobs_jobs{job_name="Keep",status="completed"} 1' in lines
    assert 'server_jobs_jobs{job_name="Keep",status="pending"} 1' in lines
    assert 'server_jobs_parked_jobs{job_name="Keep"} 1' in lines
    assert "server_jobs_due_jobs 1" in lines
    assert 'server_jobs_paused_queue{queue="a \\"b\\"\\\\\\nc"} 1' in lines
    assert all(line.startswith(("#", "server_jobs_")) for line in lines)
    assert reply.text.endswith("\n")


def test_a_text_where_a_tuple_of_them_belongs_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed_hosts must be a tuple"):
        HttpOptions(allowed_hosts="jobs.example")  # type: ignore[arg-type]
