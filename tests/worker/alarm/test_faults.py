"""What wakes a Worker, and what happens to the alarm if a process, the database or the object is lost."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from server_jobs_cloudflare import CloudflareWorkerBackend

from tests.worker.alarm.test_lateness import enqueue
from tests.worker.chores.jobs import REGISTRY, Shout
from tests.worker.project import WorkerProject
from tests.worker.workerd import RemoteD1, Workerd

PATIENCE = 45.0
"""Seconds. Less than the minute of a cron trigger, which no test here calls unless it says so."""


def wait_for(worker: Workerd, sql: str, *values: object, patience: float = PATIENCE) -> float:
    """Return the first value once the query finds a row."""
    deadline = time.monotonic() + patience
    while not (rows := worker.sql(sql, *values)):
        assert time.monotonic() < deadline, f"{sql}\n{worker.log[-2000:]}"
        time.sleep(0.2)
    return float(next(iter(rows[0].values())))


def wait_for_completion(worker: Workerd, job_id: str) -> float:
    """Return how many milliseconds late the completed job started."""
    sql = "SELECT worker_started_at - scheduled_for FROM jobs WHERE id = ? AND status = 'completed'"
    return wait_for(worker, sql, job_id)


def delayed(worker: Workerd, seconds: int) -> str:
    return enqueue(worker, "Shout", {"text": "later"}, delay=f"PT{seconds}S")


def test_an_alarm_survives_the_death_of_workerd(alarm_project: WorkerProject, tmp_path: Path) -> None:
    project = alarm_project.copy(tmp_path / "chores")
    with Workerd(project) as worker:
        worker.sql("UPDATE cron_jobs SET enabled = 0")
        job = delayed(worker, 15)
        worker.finished(enqueue(worker, "Shout", {"text": "the alarm is set by now"}))
        worker.kill()

    with Workerd(project) as worker:
        assert wait_for_completion(worker, job) >= 0


def test_the_cron_trigger_sets_the_alarm_of_a_lost_object(alarm_project: WorkerProject, tmp_path: Path) -> None:
    project = alarm_project.copy(tmp_path / "chores")
    with Workerd(project) as worker:
        worker.sql("UPDATE cron_jobs SET enabled = 0")
        job = delayed(worker, 20)
        worker.finished(enqueue(worker, "Shout", {"text": "the alarm is set by now"}))
        worker.kill()
    shutil.rmtree(project.folder / ".wrangler/state/v3/do")

    with Workerd(project) as worker:
        worker.tick()
        assert wait_for_completion(worker, job) >= 0


def test_an_alarm_whose_tick_fails_is_repeated(alarm_worker: Workerd) -> None:
    job = delayed(alarm_worker, 3)
    alarm_worker.finished(enqueue(alarm_worker, "Shout", {"text": "the alarm is set by now"}))
    alarm_worker.sql("ALTER TABLE paused_queues RENAME TO paused_elsewhere")
    time.sleep(5)
    alarm_worker.sql("ALTER TABLE paused_elsewhere RENAME TO paused_queues")

    assert wait_for_completion(alarm_worker, job) >= 1_000


def test_a_slot_of_a_schedule_wakes_the_worker(alarm_worker: Workerd) -> None:
    slot = (time.time() + 2) // 60 * 60_000 + 60_000  # of the rule: at any other time, the tick plans the next minute
    alarm_worker.sql("UPDATE cron_jobs SET enabled = 1, next_run_at = CAST(? AS INTEGER)", slot)
    alarm_worker.finished(enqueue(alarm_worker, "Shout", {"text": "sets the alarm"}))

    made = "SELECT min(created_at) FROM jobs WHERE job_name = 'Remind' HAVING count(*) > 0"
    created = wait_for(alarm_worker, made, patience=PATIENCE + 60)
    alarm_worker.sql("UPDATE cron_jobs SET enabled = 0")

    assert slot <= created < slot + 60_000


async def test_the_end_of_a_lease_wakes_the_worker(alarm_worker: Workerd) -> None:
    backend = CloudflareWorkerBackend(database=RemoteD1(alarm_worker), job_registry=REGISTRY)
    job = await Shout.using(backend).later({"text": "its worker dies"})
    lease = timedelta(seconds=3)
    assert await backend.store.claim(replace(backend.execution.request(limit=1), lease=lease))

    alarm_worker.finished(enqueue(alarm_worker, "Shout", {"text": "sets the alarm"}))

    assert wait_for(alarm_worker, "SELECT attempt_count FROM jobs WHERE id = ? AND status = 'completed'", job) == 2
