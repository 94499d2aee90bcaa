"""A Worker with one store per tenant, in workerd: routes, wake-ups, isolation, deploys and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from statistics import median, quantiles
from typing import Any

import pytest

from tests.worker.project import TOKEN, WorkerProject, environment
from tests.worker.workerd import Reply, Workerd

Record = Callable[[str, object], None]

DELAYED = 30
SECONDS = 4
LATEST = 2000.0
"""Milliseconds after which a delayed job is late on a loaded machine. On a quiet one the figures say far less."""


def enqueue(worker: Workerd, job: str, *, delay: str | None = None, **params: object) -> str:
    """Enqueue a job whose params name the tenant, and return its id."""
    document = {"params": params} | ({} if delay is None else {"delay": delay})
    reply = worker.request("POST", f"/_jobs/jobs/{job}", document=document)
    assert reply.status == 201, reply.text + worker.log
    job_id: str = reply.body["id"]
    return job_id


def ended(worker: Workerd, tenant: str, job_id: str) -> dict[str, Any]:
    """Return a job of a tenant once it has ended."""
    deadline = time.monotonic() + 60
    while (shown := worker.request("GET", f"/_jobs/tenants/{tenant}/jobs/{job_id}").body)["status"] in (
        "pending",
        "running",
    ):
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    found: dict[str, Any] = shown
    return found


def enqueued(worker: Workerd, tenant: str) -> list[dict[str, Any]]:
    """Return the jobs that tests and handlers enqueued for a tenant. The schedule adds one of its own each minute."""
    jobs = worker.request("GET", f"/_jobs/tenants/{tenant}/jobs").body["jobs"]
    return [one for one in jobs if one["job_name"] != "Remind"]


def tenants(worker: Workerd) -> dict[str, Any]:
    found: dict[str, Any] = worker.request("GET", "/_jobs/tenants?limit=1000").body
    return found


def figures(milliseconds: list[float]) -> str:
    return f"p50 {median(milliseconds):.0f} ms, p99 {quantiles(milliseconds, n=100)[98]:.0f} ms (n={len(milliseconds)})"


def test_each_tenant_has_its_own_jobs(tenants_worker: Workerd) -> None:
    mine = enqueue(tenants_worker, "Note", tenant="mine", text="a")
    enqueue(tenants_worker, "Note", tenant="yours", text="a")

    assert ended(tenants_worker, "mine", mine)["status"] == "completed"
    assert [one["id"] for one in enqueued(tenants_worker, "mine")] == [mine]
    assert tenants_worker.request("GET", f"/_jobs/tenants/yours/jobs/{mine}").status == 404
    assert {"mine", "yours"} <= {one["name"] for one in tenants(tenants_worker)["tenants"]}


def test_a_tenant_exists_once_a_job_is_enqueued_for_it(tenants_worker: Workerd) -> None:
    for method, path in (("GET", "jobs"), ("GET", "status"), ("POST", "trigger"), ("POST", "jobs/Unknown")):
        reply = tenants_worker.request(method, f"/_jobs/tenants/nobody/{path}", document=None if path == "jobs" else {})
        assert reply.status == 404, reply.text
    assert "there is no tenant 'nobody'" in reply.text
    assert tenants_worker.request("POST", "/_jobs/tenants/nobody/jobs/Remind", token=None, document={}).status == 401
    assert "nobody" not in [one["name"] for one in tenants(tenants_worker)["tenants"]]

    document: dict[str, object] = {"params": {}}  # a job without shardBy: the request names the tenant
    assert tenants_worker.request("POST", "/_jobs/tenants/nobody/jobs/Remind", document=document).status == 201
    assert "nobody" in [one["name"] for one in tenants(tenants_worker)["tenants"]]


def test_refused_requests_make_no_tenant(tenants_worker: Workerd) -> None:
    wrong: dict[str, object] = {"params": {"tenant": "shadow"}}
    for path in ("tenants/shadow/jobs/Note", "jobs/Note"):
        reply = tenants_worker.request("POST", f"/_jobs/{path}", document=wrong)
        assert reply.status == 422, reply.text
    for path in ("jobs", "dashboard/", "jobs/an-id/events?signature=x&expires=1"):
        reply = tenants_worker.request("GET", f"/_jobs/tenants/shadow/{path}", token=None)
        assert reply.status in (401, 403, 303, 200), reply.text
    assert tenants_worker.request("GET", "/_jobs/tenants/shadow/jobs").status == 404
    assert "shadow" not in [one["name"] for one in tenants(tenants_worker)["tenants"]]


def test_requests_that_name_no_tenant_say_what_to_do(tenants_worker: Workerd) -> None:
    def refused(path: str, document: object) -> Reply:
        return tenants_worker.request("POST", f"/_jobs/{path}", document=document)

    assert "name the tenant: POST /_jobs/tenants/TENANT/jobs/Remind" in refused("jobs/Remind", {"params": {}}).text
    assert "start with a letter or digit, not 'a/b'" in refused("jobs/Note", {"params": {"tenant": "a/b"}}).text
    assert refused("jobs/Note", {"params": {"text": "a"}}).status == 422
    assert "this Worker has one store per tenant" in tenants_worker.request("GET", "/_jobs/status").text
    batch = {"params": [{"tenant": one, "text": "b"} for one in ("mine", "yours")]}
    assert "the jobs of a batch must have one /tenant, not 2" in refused("batches/Note", batch).text
    assert refused("batches/Note", {"params": batch["params"][:1]}).status == 201
    assert tenants_worker.request("GET", "/_jobs/tenants", token=None).status == 401


def test_a_handler_enqueues_for_its_own_and_for_another_tenant(tenants_worker: Workerd) -> None:
    same = enqueue(tenants_worker, "Follow", tenant="leader", of="leader")
    assert ended(tenants_worker, "leader", same)["status"] == "completed"
    assert [one["job_name"] for one in enqueued(tenants_worker, "leader")] == ["Note", "Follow"]

    other = enqueue(tenants_worker, "Follow", tenant="leader", of="stranger")
    assert ended(tenants_worker, "leader", other)["status"] == "completed"
    (note,) = enqueued(tenants_worker, "stranger")
    assert ended(tenants_worker, "stranger", note["id"])["status"] == "completed"
    document = {"params": {"tenant": "stranger", "text": "a"}}
    refused = tenants_worker.request("POST", "/_jobs/tenants/leader/jobs/Note", document=document)
    assert "a Note of the tenant 'stranger' cannot be stored for the tenant 'leader'" in refused.text


def test_a_deleted_tenant_starts_anew_with_its_next_job(tenants_worker: Workerd) -> None:
    path = "/_jobs/tenants/gone"
    enqueue(tenants_worker, "Note", tenant="gone", text="a", delay="PT1H")

    assert tenants_worker.request("DELETE", path).status == 204
    assert "gone" not in [one["name"] for one in tenants(tenants_worker)["tenants"]]
    assert tenants_worker.request("GET", f"{path}/jobs").status == 404
    assert tenants_worker.request("DELETE", path).status == 404

    new = enqueue(tenants_worker, "Note", tenant="gone", text="b")
    assert ended(tenants_worker, "gone", new)["status"] == "completed"
    assert [one["id"] for one in enqueued(tenants_worker, "gone")] == [new]


def test_a_schedule_runs_for_each_tenant(tenants_worker: Workerd) -> None:
    for tenant in ("monday", "tuesday"):
        enqueue(tenants_worker, "Note", tenant=tenant, text="a")
    deadline = time.monotonic() + 120

    def has_reminded(tenant: str) -> bool:
        jobs = tenants_worker.request("GET", f"/_jobs/tenants/{tenant}/jobs?job_name=Remind").body["jobs"]
        return any(one["status"] == "completed" for one in jobs)

    while not all(map(has_reminded, ("monday", "tuesday"))):
        assert time.monotonic() < deadline, tenants_worker.log
        time.sleep(1)


def test_a_new_tenant_costs_one_call(tenants_worker: Workerd, record_property: Record) -> None:
    first, second = list[float](), list[float]()
    for number in range(10):
        for taken, text in ((first, "a"), (second, "b")):
            began = time.monotonic()
            enqueue(tenants_worker, "Note", tenant=f"new-{number}", text=text)
            taken.append((time.monotonic() - began) * 1000)
    record_property("figure", f"the first job of a new tenant, with its tables: {figures(first)}")
    record_property("figure", f"the next job of that tenant: {figures(second)}")
    assert tenants(tenants_worker)["behind"] == 0


@pytest.mark.parametrize("tenant", ["quiet", "busy"])
def test_delayed_and_retried_jobs_run_when_they_are_due(
    tenants_worker: Workerd, record_property: Record, tenant: str
) -> None:
    ids, is_busy = list[str](), tenant == "busy"
    slow = [enqueue(tenants_worker, "Linger", tenant=tenant, seconds=15) for _ in range(3)] if is_busy else []
    for number in range(DELAYED):
        ids.append(
            enqueue(tenants_worker, "Note", tenant=tenant, text=f"{number}", delay=f"PT{SECONDS + number // 5}S")
        )
    retried = [enqueue(tenants_worker, "Stumble", tenant=f"{tenant}-{number}") for number in range(3)]

    late = [_lateness(ended(tenants_worker, tenant, one)) for one in ids]
    again = [ended(tenants_worker, f"{tenant}-{number}", one) for number, one in enumerate(retried)]
    record_property("figure", f"a delayed job of a {tenant} tenant is late by {figures(late)}")
    record_property(
        "figure", f"a retried job beside a {tenant} tenant is late by {figures([_lateness(one) for one in again])}"
    )
    assert [one["attempt_count"] for one in again] == [2, 2, 2]
    assert [ended(tenants_worker, tenant, one)["status"] for one in slow] == ["completed"] * len(slow)
    assert median(late) < LATEST


def test_ten_tenants_at_once_are_not_slower_than_one(tenants_worker: Workerd, record_property: Record) -> None:
    def times(names: list[str]) -> list[float]:
        def one(number: int) -> float:
            tenant = names[number % len(names)]
            job = enqueue(tenants_worker, "Note", tenant=tenant, text=f"{len(names)}-{number}")
            shown = ended(tenants_worker, tenant, job)
            return float(_milliseconds(shown["completed_at"]) - _milliseconds(shown["created_at"]))

        with ThreadPoolExecutor(10) as pool:
            return list(pool.map(one, range(40)))

    ten = [f"ten-{number}" for number in range(10)]
    times(["one", *ten])  # all of them exist
    alone, together = times(["one"]), times(ten)
    record_property("figure", f"10 clients, all jobs of one tenant: created to completed {figures(alone)}")
    record_property("figure", f"10 clients, jobs of ten tenants: created to completed {figures(together)}")
    assert median(together) < 3 * median(alone) + 200


def test_a_slow_tenant_does_not_delay_another(tenants_worker: Workerd, record_property: Record) -> None:
    enqueue(tenants_worker, "Note", tenant="fast", text="before")
    slow = [enqueue(tenants_worker, "Linger", tenant="slow", seconds=12) for _ in range(12)]
    began, taken = time.monotonic(), list[float]()
    for number in range(10):
        sent = time.monotonic()
        ended(tenants_worker, "fast", enqueue(tenants_worker, "Note", tenant="fast", text=f"{number}"))
        taken.append((time.monotonic() - sent) * 1000)
    is_busy = time.monotonic() - began < 12
    record_property("figure", f"a job beside a slow tenant, from request to its end seen: {figures(taken)}")
    assert max(taken) < 12_000 or not is_busy
    for one in slow:
        assert ended(tenants_worker, "slow", one)["status"] == "completed"


def test_an_alarm_survives_a_killed_workerd(
    tenants_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = tenants_project.copy(tmp_path_factory.mktemp("killed") / "notes")
    with Workerd(project) as worker:
        job = enqueue(worker, "Note", tenant="acme", text="late", delay="PT3S")
        worker.kill()
    time.sleep(3)

    with Workerd(project) as worker:
        time.sleep(1)  # nobody asks the object
        assert ended(worker, "acme", job)["status"] == "completed"


def test_a_deploy_migrates_tenants_at_their_next_call_or_at_the_tick(
    tenants_project: WorkerProject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = tenants_project.copy(tmp_path_factory.mktemp("deployed") / "notes")
    with Workerd(project) as worker:
        for tenant in ("called", "asleep"):
            enqueue(worker, "Note", tenant=tenant, text="a")
    spec = json.loads((project.root / "specs/remind.json").read_text(encoding="utf-8"))
    spec["x-job"]["schedules"].append({"name": "hourly", "cron": "0 * * * *"})
    (project.root / "specs/remind.json").write_text(json.dumps(spec), encoding="utf-8")
    project.generate()
    project.build()

    with Workerd(project) as worker:
        assert tenants(worker)["total"] == 2
        schedules = worker.request("GET", "/_jobs/tenants/called/schedules").body["schedules"]
        assert sorted(one["name"] for one in schedules) == ["hourly", "minutely"]
        listed = {one["name"]: one["is_behind"] for one in tenants(worker)["tenants"]}
        assert listed["called"] is False
        worker.tick()
        assert tenants(worker)["behind"] == 0


def test_the_command_line_reaches_one_tenant(tenants_worker: Workerd) -> None:
    job = enqueue(tenants_worker, "Note", tenant="cli", text="a", delay="PT1H")
    address = f"{tenants_worker.url}_jobs/tenants"

    def server_jobs(tenant: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        known = {**environment(), "SERVER_JOBS_DATABASE_URL": f"{address}/{tenant}", "JOBS_TOKEN": TOKEN}
        return subprocess.run(
            [sys.executable, "-m", "server_jobs_cli", *arguments],
            cwd=tenants_worker.project.root,
            env={**os.environ, **known},
            capture_output=True,
            text=True,
            check=False,
        )

    listed = server_jobs("cli", "list", "--job", "Note", "--json")
    assert [one["id"] for one in json.loads(listed.stdout)] == [job], listed.stderr
    assert server_jobs("cli", "cancel", job).returncode == 0
    assert tenants_worker.request("GET", f"/_jobs/tenants/cli/jobs/{job}").body["status"] == "cancelled"
    missing = server_jobs("nobody-else", "list")
    assert missing.returncode != 0
    assert "there is no tenant 'nobody-else'" in missing.stderr
    names = [one["name"] for one in json.loads(server_jobs("", "tenants", "--json").stdout)]
    assert "cli" in names
    assert "nobody-else" not in names
    examined = server_jobs("cli", "doctor")
    assert "tenants, all at the newest revision" in examined.stdout, examined.stdout + examined.stderr
    assert "the tables are at the newest revision" in examined.stdout, examined.stdout + examined.stderr


def _lateness(shown: dict[str, Any]) -> float:
    """Return how many milliseconds after its due time a job ran, by its handler."""
    return float(shown["result"]["ran_at"]) - _milliseconds(shown["scheduled_for"])


def _milliseconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000
