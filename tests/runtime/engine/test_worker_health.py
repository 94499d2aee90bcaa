"""Whether a worker claims jobs, and whether only a restart helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from server_jobs import JobContext, Worker
from server_jobs.engine.worker import WorkerHealth
from server_jobs.inspection.why import why
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import SECOND, Gate, Text, backend_on, echo, text_job, turns, until

PARAMS = {"text": "hello"}


async def become(state: Callable[[], str | None], sentence: str | None) -> None:
    async with asyncio.timeout(30):
        while state() != sentence:
            await asyncio.sleep(0.005)


async def test_a_worker_is_ready_while_it_claims_jobs() -> None:
    store, gate = FaultyStore(), Gate()
    backend = backend_on(store, job := text_job(gate))
    worker = Worker(backend)
    assert worker.health.unready() == "the worker is starting"
    run = asyncio.create_task(worker.run())
    await become(worker.health.unready, None)

    store.break_down("claim", "ping")
    await job.later(PARAMS)
    await become(worker.health.unready, "the database cannot be used; the log of the worker has the error")
    store.mend()
    await become(worker.health.unready, None)

    await become(lambda: str(len(gate.contexts)), "1")
    worker.stop()
    assert worker.health.unready() == "the worker is stopping; jobs that still run: 1"
    assert worker.health.stuck() is None
    gate.opened.set()
    await until(run)


async def test_a_job_without_a_place_to_run_is_not_said_to_be_the_next_one() -> None:
    backend = backend_on(FaultyStore(), job := text_job(echo))
    backend.execution.attempt_factory.unready = frozenset({job.job_name})
    waiting = await job.later(PARAMS)
    worker = Worker(backend)
    run = asyncio.create_task(worker.run())
    await become(worker.health.unready, None)

    _, reasons = await why(backend.store, backend.registry, waiting)
    assert [reason.text for reason in reasons] == [f"no living worker of its queue can run {job.job_name} now"]

    backend.execution.attempt_factory.unready = frozenset()
    await job.later(PARAMS)  # wakes the worker
    async with asyncio.timeout(30):
        while not (await backend.store.workers())[0].report.known:
            await asyncio.sleep(0.005)
    worker.stop()
    await until(run)


async def test_a_worker_that_cannot_store_outcomes_is_not_ready() -> None:
    store, gate = FaultyStore(), Gate()
    backend = backend_on(store, job := text_job(gate))
    worker = Worker(backend)
    await job.later(PARAMS)
    run = asyncio.create_task(worker.run())
    await become(lambda: str(len(gate.contexts)), "1")

    store.break_down("settle")
    gate.opened.set()

    await become(worker.health.unready, "outcomes cannot be stored; the log of the worker has the error")
    store.mend()
    await become(worker.health.unready, None)
    worker.stop()
    await until(run)


async def test_a_worker_whose_event_loop_is_blocked_is_late_and_after_a_lease_stuck() -> None:
    clock = FakeClock()
    seen: list[tuple[str | None, str | None]] = []

    async def block(params: Text, context: JobContext) -> Text:
        await turns()
        for seconds in (5, 10, 50):
            clock.advance(timedelta(seconds=seconds))
            seen.append((worker.health.unready(), worker.health.stuck()))
        worker.stop()
        return params

    backend = backend_on(FaultyStore(clock), job := text_job(block), clock=clock, lease=60 * SECOND)
    worker = Worker(backend)
    await job.later(PARAMS)

    await until(asyncio.create_task(worker.run()))

    late = "the worker has not looked for jobs for {} s"
    assert seen == [(None, None), (late.format(15), None), (late.format(65), late.format(65))]


@pytest.mark.parametrize("state", [WorkerHealth.unready, WorkerHealth.stuck])
async def test_a_worker_with_a_short_lease_is_not_stuck_at_once(state: Callable[[WorkerHealth], str | None]) -> None:
    clock = FakeClock()
    worker = Worker(backend_on(FaultyStore(clock), clock=clock, lease=SECOND))
    run = asyncio.create_task(worker.run())
    await turns()

    clock.advance(2 * SECOND)

    assert state(worker.health) is None
    worker.stop()
    await until(run)
