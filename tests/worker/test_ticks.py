"""The effect of a cron event on due jobs, and on jobs that are cancelled in the meantime."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from server_jobs import Cancellation, JobStatus
from server_jobs_cloudflare import CloudflareWorkerBackend

from tests.worker.chores.jobs import Compute, Linger, Plain, Shout, Stumble
from tests.worker.workerd import Workerd

HOUR = timedelta(hours=1)


def let_time_pass(worker: Workerd, job_id: str) -> None:
    """Move the times of the job one hour back."""
    worker.sql("UPDATE jobs SET scheduled_for = scheduled_for - 3600000 WHERE id = ?", job_id)


async def test_a_tick_runs_due_jobs(worker: Workerd, backend: CloudflareWorkerBackend) -> None:
    due = await Shout.using(backend).later({"text": "now"})
    later = await Shout.using(backend).later({"text": "later"}, delay=HOUR)

    worker.tick()

    assert (await due.result()).data.text == "NOW"
    assert (await due.record()).attempt_count == 1
    assert await later.status() is JobStatus.PENDING


async def test_the_console_shows_jobs_with_their_ids(worker: Workerd, backend: CloudflareWorkerBackend) -> None:
    job = await Shout.using(backend).later({"text": "now"}, correlation_id="order-4711")
    bad = await Stumble.using(backend).later({"until": 1}, correlation_id="order-4712")

    worker.tick()

    levels, shown = zip(*worker.lines_of({job}), strict=True)
    assert [line.get("event", line["message"]) for line in shown] == [
        "started",
        "Shout: shouting {'letters': 3}",
        "completed",
    ]
    assert {line["correlation_id"] for line in shown} == {"order-4711"}
    assert {(line["job_name"], line["attempt"]) for line in shown} == {("Shout", 1)}
    assert set(levels) == {"log"}
    failed = [(level, line) for level, line in worker.lines_of({bad}) if line.get("event") == "failed"]
    assert [(level, line["correlation_id"]) for level, line in failed] == [("warn", "order-4712")]


async def test_plain_handlers_run_inline_for_there_are_no_threads_and_no_processes(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    plain = await Plain.using(backend).later({"text": "abc"})
    compute = await Compute.using(backend).later({"text": "abc"})

    worker.tick()

    assert (await plain.result()).data.text == "cba"
    assert (await compute.result()).data.text == "3"


async def test_a_job_that_fails_is_run_again_when_its_delay_is_over(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    job = await Stumble.using(backend).later({"until": 1})

    worker.tick()
    first = await job.record()
    worker.tick()
    waiting = await job.record()
    let_time_pass(worker, job)
    worker.tick()
    last = await job.record()

    assert (first.status, first.attempt_count) == (JobStatus.PENDING, 1)
    assert first.error is not None
    assert first.error.startswith("ValueError: stumbled in attempt 1 (at handlers/stumble.py:")
    assert waiting == first
    assert (last.status, last.attempt_count) == (JobStatus.COMPLETED, 2)


async def test_a_job_that_uses_up_its_attempts_has_failed(worker: Workerd, backend: CloudflareWorkerBackend) -> None:
    job = await Stumble.using(backend).later({"until": 9})

    for _ in range(3):
        worker.tick()
        let_time_pass(worker, job)

    record = await job.record()
    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 2)


async def test_the_progress_of_a_job_is_seen_while_it_runs(worker: Workerd, backend: CloudflareWorkerBackend) -> None:
    job = await Linger.using(backend).later({"seconds": 3})

    tick = worker.begin_tick()
    seen = [(one.status, one.percent, one.message) async for one in job.watch()]
    worker.ended_tick(tick)

    assert (JobStatus.RUNNING, 50, "half way") in seen
    assert seen[-1] == (JobStatus.COMPLETED, 100, "half way")


async def test_a_job_that_is_cancelled_while_it_runs_ends_soon(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    job = await Linger.using(backend).later({"seconds": 100})

    tick = worker.begin_tick()
    async for progress in job.watch():
        if progress.percent == 50:
            break
    answer = await job.cancel()
    async with asyncio.timeout(60):
        await asyncio.wrap_future(tick)

    assert answer is Cancellation.REQUESTED
    assert await job.status() is JobStatus.CANCELLED


async def test_a_job_that_is_cancelled_before_it_runs_never_does(
    worker: Workerd, backend: CloudflareWorkerBackend
) -> None:
    job = await Shout.using(backend).later({"text": "never"})
    assert await job.cancel() is Cancellation.CANCELLED

    worker.tick()

    record = await job.record()
    assert (record.status, record.attempt_count) == (JobStatus.CANCELLED, 0)
