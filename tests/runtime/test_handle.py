"""The handle of an enqueued job: wait for its result, and watch its progress."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from server_jobs import JobContext, JobHandle, JobNotFoundError, JobStatus, Worker
from server_jobs.domain.record import Inserted
from server_jobs.result import JobProgress

from tests.runtime.example_jobs import SECOND, SOON, Text, backend_on, echo, fail, text_job, turns

PARAMS = {"text": "hello"}


async def test_a_result_is_there_soon_after_the_job_is_done() -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    handle = await job.later(PARAMS)
    task = asyncio.create_task(handle.result(timeout=5 * SECOND))
    await turns()
    await Worker(backend, until_empty=True).run()

    assert (await task).data == Text(text="hello")


async def test_a_stored_id_becomes_a_handle_again() -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    stored = str(await job.later(PARAMS))
    handle = job.handle(stored)
    assert (handle, handle.created) == (stored, False)
    await Worker(backend, until_empty=True).run()
    assert (await handle.result(timeout=5 * SECOND)).data == Text(text="hello")


async def test_an_id_of_another_job_has_no_handle_here() -> None:
    job, other = text_job(echo), text_job(echo, "Other")
    backend_on(None, job, other)
    handle = other.handle(await job.later(PARAMS))
    for ask in (handle.record, handle.status, handle.result):
        with pytest.raises(JobNotFoundError):
            await ask()


async def test_waiting_for_a_result_ends_with_its_time_and_leaves_the_job_alone() -> None:
    job = text_job(echo)
    backend_on(None, job)
    handle = await job.later(PARAMS)
    message = f"Echo {handle} has not finished after {SOON.total_seconds():g} seconds; `server-jobs why {handle}` shows"
    with pytest.raises(TimeoutError, match=message):
        await handle.result(timeout=SOON)
    assert await handle.status() is JobStatus.PENDING


async def test_a_timeout_of_the_store_while_waiting_for_a_result_is_raised_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    handle = await job.later(PARAMS)

    async def get(_job_id: str) -> None:
        raise TimeoutError("the pool has no connection")

    monkeypatch.setattr(backend.store, "get", get)
    for timeout in (None, timedelta(hours=1)):
        with pytest.raises(TimeoutError, match="the pool has no connection"):
            await handle.result(timeout=timeout)


async def test_a_job_is_watched_from_its_queue_to_its_end() -> None:
    steps = [asyncio.Event(), asyncio.Event()]

    async def handler(params: Text, context: JobContext) -> Text:
        for percent, step in zip((20, 70), steps, strict=True):
            context.update_progress(percent, f"at {percent}")
            await step.wait()
        return params

    job = text_job(handler)
    backend = backend_on(None, job)
    handle = await job.later(PARAMS)
    worker = asyncio.create_task(Worker(backend, until_empty=True).run())
    seen: list[JobProgress] = []
    async for progress in handle.watch():
        seen.append(progress)
        if progress.percent in (20, 70):
            steps[(20, 70).index(progress.percent)].set()
    await worker

    assert [(one.status, one.percent, one.message) for one in seen if one.percent] == [
        (JobStatus.RUNNING, 20, "at 20"),
        (JobStatus.RUNNING, 70, "at 70"),
        (JobStatus.COMPLETED, 100, "at 70"),
    ]
    assert {one.attempt_count for one in seen if one.percent} == {1}


async def test_watching_a_finished_job_says_once_how_it_ended() -> None:
    job = text_job(fail)
    backend = backend_on(None, job)
    handle = await job.later(PARAMS, max_attempts=1)
    await Worker(backend, until_empty=True).run()

    assert [progress async for progress in handle.watch()] == [JobProgress(JobStatus.FAILED, 0, None, 1)]


async def test_watching_a_job_that_was_deleted_is_an_error() -> None:
    job = text_job(echo)
    handle = JobHandle.of(job, backend_on(None, job), Inserted("gone", created=True))
    with pytest.raises(JobNotFoundError, match="gone"):
        _ = [progress async for progress in handle.watch()]
