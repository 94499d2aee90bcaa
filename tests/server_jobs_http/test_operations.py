"""The routes for operators."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs import create_job_registry
from server_jobs.domain.record import NewJob
from server_jobs.engine.tick import tick
from server_jobs.errors import DatabaseError
from server_jobs.memory import InMemoryBackend
from server_jobs.testing import FakeClock
from server_jobs_http import HttpOptions
from server_jobs_http.routes import metrics, operations

from tests.server_jobs_http.caller import Caller, keep_job
from tests.server_jobs_http.test_history import WORKER


async def test_a_trigger_runs_due_jobs() -> None:
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
    assert found["exact"] is True


async def test_the_status_of_many_jobs_has_the_least_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST_SCANNED", 3)
    monkeypatch.setattr(operations, "MOST_COUNTED", 1)
    call = Caller()
    store = call.backend.store
    for text in ("bad", "bad", "x", "x", "x"):
        call.backend.add_job(job_name="Keep", params={"text": text})
    await tick(call.backend)
    await store.insert([NewJob(id=f"00{one}", job_name="Keep", params="{}") for one in range(4)])
    newest = call.backend.add_job(job_name="Keep", params={"text": "x"})
    await store.cancel(newest)

    found = (await call("GET", "/status")).json()

    assert found["exact"] is False
    assert found["counts"] == [
        {"job_name": "Keep", "status": "cancelled", "count": 1},
        {"job_name": "Keep", "status": "completed", "count": 2},
        {"job_name": "Keep", "status": "failed", "count": 1},
        {"job_name": "Keep", "status": "pending", "count": 3},
    ]


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


async def test_prometheus_can_parse_the_metrics() -> None:
    call = Caller()
    for text in ("x", "bad"):
        call.backend.add_job(job_name="Keep", params={"text": text})
    await call.backend.store.insert([NewJob(id="p", job_name="Keep", params='{"text":5}')])
    await tick(call.backend)
    call.backend.add_job(job_name="Keep", params={"text": "x"})
    await call.backend.store.pause_queue('a "b"\\\nc')
    await call.backend.store.renew([], timedelta(minutes=1), [WORKER])

    reply = await call("GET", "/metrics")

    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = reply.text.splitlines()
    labels = '{queue="default",job_name="Keep"}'
    for metric, value in {
        "due_jobs": 1,
        "scheduled_jobs": 0,
        "running_jobs": 0,
        "failed_jobs": 2,
        "parked_jobs": 1,
        "completed_total": 1,
        "failed_total": 2,
        "retried_total": 0,
        "enqueued_last_minute": 4,
    }.items():
        assert f"server_jobs_{metric}{labels} {value}" in lines
    (age,) = [line for line in lines if line.startswith(f"server_jobs_oldest_due_seconds{labels} ")]
    assert 0 <= float(age.split()[-1]) < 60
    assert 'server_jobs_workers{state="alive"} 2' in lines  # with the tick
    assert 'server_jobs_workers{state="dead"} 0' in lines
    assert 'server_jobs_paused_queue{queue="a \\"b\\"\\\\\\nc"} 1' in lines
    assert all(line.startswith(("#", "server_jobs_")) for line in lines)
    assert reply.text.endswith("\n")


async def test_the_metrics_of_many_failed_jobs_end_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_COUNTED", 2)
    call = Caller()
    for _ in range(3):
        call.backend.add_job(job_name="Keep", params={"text": "bad"})
    await tick(call.backend)
    for _ in range(3):
        call.backend.add_job(job_name="Keep", params={"text": "x"})

    lines = (await call("GET", "/metrics")).text.splitlines()

    labels = '{queue="default",job_name="Keep"}'
    assert f"server_jobs_failed_jobs{labels} 2" in lines
    assert f"server_jobs_due_jobs{labels} 3" in lines


async def test_a_series_of_enqueued_jobs_continues_with_zero() -> None:
    clock = FakeClock()
    call = Caller(InMemoryBackend(job_registry=create_job_registry().register(keep_job()), clock=clock))
    call.backend.add_job(job_name="Keep", params={"text": "x"})
    await tick(call.backend)
    clock.advance(timedelta(minutes=1))

    reply = await call("GET", "/metrics")

    assert 'server_jobs_enqueued_last_minute{queue="default",job_name="Keep"} 0' in reply.text.splitlines()


async def test_the_counters_of_a_job_are_zero_while_it_is_pending_so_that_prometheus_sees_their_increase() -> None:
    call = Caller()
    call.backend.add_job(job_name="Keep", params={"text": "x"})

    lines = (await call("GET", "/metrics")).text.splitlines()

    for kind in ("completed", "failed", "retried"):
        assert f'server_jobs_{kind}_total{{queue="default",job_name="Keep"}} 0' in lines


def test_a_text_where_a_tuple_of_them_belongs_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed_hosts must be a tuple"):
        HttpOptions(allowed_hosts="jobs.example")  # type: ignore[arg-type]
