"""A stopped job is released. If its handler has ended, its outcome is kept until it can be stored."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from server_jobs import JobContext, JobStatus, Worker
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import SECOND, Text, backend_on, read, status_of, text_job, turns, until

PARAMS = {"text": "hello"}


class Finished:
    """A job whose handler has ended before its outcome could be stored, because the store has just returned."""

    def __init__(self) -> None:
        self.runs = 0
        self.clock = FakeClock()
        self.store = FaultyStore(self.clock)
        self.job = text_job(self._handle)
        self.backend = backend_on(self.store, self.job, clock=self.clock)
        self.worker = Worker(self.backend)

    async def begin(self) -> asyncio.Task[None]:
        """Start the worker of that job, up to the moment when it could be stopped."""
        self.job_id = await self.job.later(PARAMS)
        self.store.break_down("settle")
        task = asyncio.create_task(self.worker.run())
        await turns()
        assert (self.runs, self.store.calls["settle"]) == (1, 1)
        self.store.mend()
        return task

    async def _handle(self, params: Text, context: JobContext) -> Text:
        self.runs += 1
        return params


@pytest.mark.parametrize("stopped_by", ["worker", "backend"])
async def test_finished_work_is_not_released_but_stored_when_the_store_is_back(stopped_by: str) -> None:
    finished = Finished()
    task = await finished.begin()
    finished.worker.stop()
    finished.worker.stop()
    if stopped_by == "backend":
        await asyncio.wait_for(finished.backend.shutdown(), 5)
    await until(task)
    assert await status_of(finished.backend, finished.job_id) is JobStatus.RUNNING
    assert await finished.store.claim(finished.backend.execution.request(limit=1)) == []

    finished.clock.advance(SECOND)
    await turns()
    record = await read(finished.backend, finished.job_id)
    assert (record.status, record.result, record.attempt_count) == (JobStatus.COMPLETED, '{"text":"hello"}', 1)
    assert finished.runs == 1


async def test_the_end_of_a_batch_is_looked_for_after_finished_jobs_only() -> None:
    fails = [OSError("try again"), None]

    async def handle(params: Text, context: JobContext) -> Text:
        if (error := fails.pop(0)) is not None:
            raise error
        return params

    clock = FakeClock()
    job = text_job(handle)
    backend = backend_on(FaultyStore(clock), job, clock=clock)
    batch = await job.later_many([PARAMS])
    seen: list[set[str]] = []
    while fails:
        (claim,) = (await backend.poll_and_claim()).claimed_jobs
        await backend.execute(claim)
        seen.append(set(backend.execution.runner.batches))
        clock.advance(timedelta(hours=1))
    assert seen == [set(), {batch.id}]
