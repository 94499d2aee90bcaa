"""Many events at the same time, and events that are aborted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from server_jobs import JobStatus
from server_jobs.domain.record import JobQuery
from server_jobs_cloudflare import CloudflareWorkerBackend

from tests.worker.chores.jobs import REGISTRY, Linger, Shout
from tests.worker.project import WorkerProject
from tests.worker.workerd import RemoteD1, Reply, Workerd

JOBS = 100
NO_SCHEDULE = "UPDATE cron_jobs SET enabled = 0"  # otherwise its job would appear now and then


@pytest.fixture
def moves(worker: Workerd) -> Iterator[None]:
    """Let D1 record each transition of each job."""
    worker.sql("CREATE TABLE moves (job_id TEXT, status TEXT)")
    worker.sql(
        "CREATE TRIGGER moves_of_jobs AFTER UPDATE OF status ON jobs BEGIN "
        "INSERT INTO moves VALUES (NEW.id, NEW.status); END"
    )
    yield
    worker.sql("DROP TRIGGER moves_of_jobs")
    worker.sql("DROP TABLE moves")


async def test_each_job_runs_once_under_parallel_ticks_and_requests(
    worker: Workerd, backend: CloudflareWorkerBackend, moves: None
) -> None:
    jobs = await Shout.using(backend).later_many([{"text": str(number)} for number in range(JOBS)])

    def ask(number: int) -> Reply:
        return worker.request("POST", "/_jobs/trigger") if number % 2 else worker.request("GET", "/_jobs/status")

    with ThreadPoolExecutor(40) as threads:
        replies = threads.map(ask, range(40))
        ticks = [worker.begin_tick() for _ in range(3)]
        assert {reply.status for reply in replies} == {200}
    for tick in ticks:
        worker.ended_tick(tick)
    for _ in range(JOBS):  # a slow machine leaves jobs to later ticks
        if not worker.sql("SELECT 1 FROM jobs WHERE status = 'pending' LIMIT 1"):
            break
        worker.tick()

    made = Counter((row["job_id"], row["status"]) for row in worker.sql("SELECT * FROM moves"))
    assert made == {(job, status): 1 for job in jobs for status in ("running", "completed")}


async def test_parallel_events_write_each_line_of_each_job(worker: Workerd, backend: CloudflareWorkerBackend) -> None:
    jobs = await Shout.using(backend).later_many([{"text": str(number)} for number in range(3 * JOBS)])

    ticks = [worker.begin_tick() for _ in range(3)]
    while not all(tick.done() for tick in ticks):
        worker.sql("SELECT 1")  # the log must be read even while a call waits
    for tick in ticks:
        worker.ended_tick(tick)

    lines = Counter((line["job_id"], line.get("event")) for _, line in worker.lines_of({*jobs}))
    assert lines == {(job, event): 1 for job in jobs for event in ("started", None, "completed")}


async def test_a_slot_of_a_schedule_fires_once_under_parallel_and_repeated_ticks(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    worker.sql("UPDATE cron_jobs SET enabled = 1")
    worker.tick()  # plans it
    (planned,) = worker.sql("SELECT next_run_at FROM cron_jobs")
    worker.sql("UPDATE cron_jobs SET next_run_at = next_run_at - 120000")

    for tick in [worker.begin_tick() for _ in range(5)]:
        worker.ended_tick(tick)
    worker.tick()

    records = await backend.store.list_jobs(JobQuery(job_name="Remind"))
    slots = Counter(record.scheduled_for for record in records)
    assert set(slots.values()) == {1}
    assert {record.status for record in records} == {JobStatus.COMPLETED}
    assert len(records) in (1, 2)  # two, if a minute starts in the meantime
    assert worker.sql("SELECT next_run_at FROM cron_jobs")[0]["next_run_at"] >= planned["next_run_at"]


async def test_a_job_whose_invocation_was_killed_runs_again_when_its_lease_is_over(
    chores_project: WorkerProject, tmp_path: Path
) -> None:
    project = chores_project.copy(tmp_path / "chores")
    killed = Workerd(project)
    killed.sql(NO_SCHEDULE)
    backend = CloudflareWorkerBackend(database=RemoteD1(killed), job_registry=REGISTRY)
    job = await Linger.using(backend).later({"seconds": 100})
    tick = killed.begin_tick()
    async for progress in job.watch():
        if progress.status is JobStatus.RUNNING:
            break
    killed.kill()
    with suppress(RuntimeError):
        tick.result()

    with Workerd(project) as worker:
        backend = CloudflareWorkerBackend(database=RemoteD1(worker), job_registry=REGISTRY)
        worker.tick()
        (held,) = await backend.store.list_jobs(JobQuery())
        worker.sql("""UPDATE jobs SET worker_expires_at = 1, params = '{"seconds": 0}'""")
        worker.tick()
        worker.sql("UPDATE jobs SET scheduled_for = 1")  # instead of a random moment of the next second
        worker.tick()
        (record,) = await backend.store.list_jobs(JobQuery())

    assert (held.status, held.attempt_count) == (JobStatus.RUNNING, 1)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 2)


async def test_a_tick_whose_time_is_up_leaves_the_rest_to_the_next_one(
    chores_project: WorkerProject, tmp_path: Path
) -> None:
    project = chores_project.copy(tmp_path / "chores")
    entry = "generated/worker/entry.py"
    project.edit(entry, "max_concurrency=10", "max_concurrency=2, budget=timedelta(seconds=1)")
    project.edit(entry, "from typing import", "from datetime import timedelta\nfrom typing import")
    project.build()
    with Workerd(project) as worker:
        backend = CloudflareWorkerBackend(database=RemoteD1(worker), job_registry=REGISTRY)
        worker.sql(NO_SCHEDULE)
        worker.tick()  # the first one takes longer
        jobs = await Linger.using(backend).later_many([{"seconds": 1.5}] * 7)

        worker.tick()
        statuses = Counter([await job.status() for job in jobs])
        worker.tick()
        later = Counter([await job.status() for job in jobs])

    assert statuses == {JobStatus.COMPLETED: 2, JobStatus.PENDING: 5}  # these two had started
    assert later == {JobStatus.COMPLETED: 4, JobStatus.PENDING: 3}
