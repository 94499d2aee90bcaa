"""Repeated cancellation, a store that fails or never answers, and a backend that is used again leak nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import TypeVar

import pytest
from server_jobs import DatabaseError, JobContext, JobOptions, JobStatus, Worker, tick
from server_jobs.domain.record import (
    Claim,
    ClaimRequest,
    Heartbeat,
    JobQuery,
    JobRecord,
    LeaseAnswer,
    Settlement,
    UpcomingWork,
)
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.engine.attempts import settler
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import SECOND, SOON, Gate, Text, backend_on, echo, read, text_job, turns, until

PARAMS = {"text": "hello"}
T = TypeVar("T")


class Dawdling(MemoryStore):
    """A store whose answers each take a few turns of the loop."""

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        return await dawdle(super().claim(request))

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        return await dawdle(super().settle(settlements))

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        return await dawdle(super().renew(heartbeats, lease, workers))


async def dawdle(call: Awaitable[T]) -> T:
    await asyncio.sleep(0)
    answer = await call
    await turns(2)
    return answer


async def all_records(backend: PollingBackend, ids: Sequence[str]) -> list[JobRecord]:
    return [await read(backend, job_id) for job_id in ids]


@pytest.mark.parametrize("moment", range(0, 60, 3))
async def test_a_worker_that_is_cancelled_twice_leaves_no_claim_behind(moment: int) -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        await turns(3)
        return params

    job = text_job(handler)
    backend = backend_on(Dawdling(), job, max_concurrency=3)
    ids = await job.later_many([PARAMS] * 40)
    task = asyncio.create_task(Worker(backend, drain_timeout=timedelta(0)).run())
    await turns(moment)
    task.cancel()
    await turns(moment % 7)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.02)

    records = await all_records(backend, ids)
    assert {record.status for record in records} <= {JobStatus.PENDING, JobStatus.COMPLETED}
    assert {record.attempt_count for record in records if record.status is JobStatus.PENDING} <= {0}


@pytest.mark.parametrize("moment", range(12))
async def test_a_tick_that_is_cancelled_leaves_no_claim_behind(moment: int) -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        await turns(3)
        return params

    job = text_job(handler)
    backend = backend_on(Dawdling(), job)
    ids = await job.later_many([PARAMS] * 3)
    task = asyncio.create_task(tick(backend))
    await turns(moment)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.02)

    assert {record.status for record in await all_records(backend, ids)} <= {JobStatus.PENDING, JobStatus.COMPLETED}


async def test_a_backend_is_not_closed_before_a_cancelled_tick_has_given_its_claims_back() -> None:
    class Closing(MemoryStore):
        is_closed = False

        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            await asyncio.sleep(0.05)
            assert not self.is_closed
            return await super().settle(settlements)

        async def close(self) -> None:
            self.is_closed = True

    async def handler(params: Text, context: JobContext) -> Text:
        await asyncio.Event().wait()
        return params

    job = text_job(handler)
    backend = backend_on(store := Closing(), job)
    ids = await job.later_many([PARAMS] * 3)
    task = asyncio.create_task(tick(backend))
    await turns()
    task.cancel()
    await turns(3)
    await backend.shutdown()

    assert {record.status for record in [await store.get(job_id) for job_id in ids] if record} == {JobStatus.PENDING}


async def test_context_variables_of_a_handler_do_not_reach_the_next_one() -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []

    async def handler(params: Text, context: JobContext) -> Text:
        seen.append(user.get())
        user.set(params.text)
        return params

    job = text_job(handler)
    backend = backend_on(None, job)
    await job.later_many([{"text": str(number)} for number in range(300)])
    user.set("the application")
    await Worker(backend, until_empty=True, concurrency=1).run()

    assert set(seen) == {"the application"}


async def test_more_than_a_thousand_may_run_at_once() -> None:
    running, opened = 0, asyncio.Event()

    async def handler(params: Text, context: JobContext) -> Text:
        nonlocal running
        running += 1
        await opened.wait()
        return params

    job = text_job(handler)
    backend = backend_on(None, job, max_concurrency=2000)
    await job.later_many([PARAMS] * 2000)
    task = asyncio.create_task(Worker(backend, until_empty=True).run())
    while running < 2000:
        await asyncio.sleep(0.001)
    opened.set()
    await asyncio.wait_for(task, 10)


async def test_an_outcome_that_the_store_stumbles_over_harms_no_other_and_no_worker() -> None:
    class Stumbling(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            if any(one.id == str(bad) for one in settlements):
                raise OverflowError("date value out of range")
            return await super().settle(settlements)

    job = text_job(echo, options=JobOptions(max_attempts=1))
    backend = backend_on(Stumbling(), job)
    bad, *others = await job.later_many([PARAMS] * 5)
    await asyncio.wait_for(Worker(backend, until_empty=True).run(), 5)

    assert {record.status for record in await all_records(backend, others)} == {JobStatus.COMPLETED}
    assert {record.attempt_count for record in await all_records(backend, others)} == {1}


async def test_a_backend_that_was_closed_in_an_outage_works_when_it_is_opened_again() -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    await job.later(PARAMS)
    store.break_down("settle")
    worker = Worker(backend, drain_timeout=SOON)
    task = asyncio.create_task(worker.run())
    while not store.calls["settle"]:
        await asyncio.sleep(0)
    worker.stop()
    await until(task)
    await backend.shutdown()
    store.mend()
    later_id = await job.later(PARAMS)
    await asyncio.wait_for(Worker(backend, until_empty=True).run(), 5)

    assert (await read(backend, later_id)).status is JobStatus.COMPLETED


async def test_claims_whose_poll_fails_afterwards_are_released() -> None:
    class Uncounted(FaultyStore):
        async def count_due(self, request: ClaimRequest) -> int:
            raise DatabaseError("down")

    job = text_job(echo)
    backend = backend_on(Uncounted(), job)
    job_id = await job.later(PARAMS)
    with pytest.raises(DatabaseError, match="down"):
        await backend.poll_and_claim()

    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_a_caller_of_now_is_cancelled_although_its_handler_falls_over_it() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.sleep(10)
        finally:
            raise RuntimeError("the clean-up failed")

    job = text_job(handler, options=JobOptions(max_attempts=1))
    backend = backend_on(None, job)
    task = asyncio.create_task(job.now(PARAMS))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (record,) = await backend.store.list_jobs(JobQuery())
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_waiting_claims_are_released_at_a_stop_on_a_slow_store() -> None:
    class Slow(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            if is_slow.is_set():
                await asyncio.sleep(0.5)
            return await super().settle(settlements)

    is_slow = asyncio.Event()
    job = text_job(echo)
    backend = backend_on(Slow(), job, lease=60 * SECOND)
    ids = await job.later_many([PARAMS] * 5)
    attempts = await backend.execution.take(5)
    is_slow.set()
    backend.execution.runner.release_waiting(attempts)
    await backend.execution.runner.stop([])

    records = await all_records(backend, ids)
    assert {(record.status, record.attempt_count) for record in records} == {(JobStatus.PENDING, 0)}


# --- a store with a bug ---------------------------------------------------------------------------------------------


async def test_a_worker_that_meets_a_bug_says_so_and_releases_its_jobs(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(store := FaultyStore(), job)
    job_id = await job.later(PARAMS)
    task = asyncio.create_task(Worker(backend, drain_timeout=SOON).run())
    await turns()
    store.break_down("claim", error=KeyError("params"))
    with pytest.raises(KeyError, match="params"):
        await asyncio.wait_for(task, 30)

    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info is not None) == (
        "the worker ends because of an unexpected error",
        True,
    )
    stored = await read(backend, job_id)
    assert (stored.status, stored.attempt_count) == (JobStatus.PENDING, 0)


@pytest.mark.parametrize("method", ["settle", "remove_worker"])
async def test_a_bug_at_the_end_of_a_worker_is_logged_and_ends_it_normally(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FaultyStore):
        async def remove_worker(self, worker_id: str) -> None:
            self._ask("remove_worker")

    gate = Gate()
    job = text_job(gate)
    backend = backend_on(store := Broken(), job)
    await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=timedelta(0))
    task = asyncio.create_task(worker.run())
    await turns()
    store.break_down(method, error=KeyError(method))
    worker.stop()
    await until(task)
    assert f"KeyError: '{method}'" in caplog.text


@pytest.mark.parametrize("number", [0, 2])
async def test_a_wrong_number_of_answers_leaves_no_job_leased_forever(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Miscounting(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            await super().settle(settlements)
            return [None] * number

    job = text_job(echo)
    backend = backend_on(Miscounting(), job)
    await job.later(PARAMS)
    worker = Worker(backend, until_empty=True)
    await asyncio.wait_for(worker.run(), 30)
    assert backend.execution.runner.leases.leased() == []
    assert "could not be settled" in caplog.text


@pytest.mark.parametrize("number", [0, 2])
async def test_a_wrong_number_of_renewals_is_logged_and_tried_again(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Miscounting(FaultyStore):
        async def renew(
            self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
        ) -> Sequence[LeaseAnswer]:
            answers = await super().renew(heartbeats, lease, workers)
            return [LeaseAnswer.RENEWED] * number if self.broken else answers

    clock, gate = FakeClock(), Gate()
    job = text_job(gate)
    store = Miscounting(clock)
    backend = backend_on(store, job, clock=clock)
    await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=SOON)
    task = asyncio.create_task(worker.run())
    await turns()
    store.break_down("nothing")
    for _ in range(3):
        clock.advance(5 * SECOND)
        await turns()
    assert "leases cannot be renewed: zip()" in caplog.text
    store.mend()
    clock.advance(5 * SECOND)
    await turns()
    assert "leases are being renewed again" in caplog.text
    worker.stop()
    await until(task)


# --- a store that does not answer -----------------------------------------------------------------------------------


class Silent(FaultyStore):
    """A store whose methods named in `silent` answer once `answers` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: set[str] = set()
        self.answers = asyncio.Event()

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        claims = await super().claim(request)
        await self._answer("claim")
        return claims

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        await self._answer("settle")
        return await super().settle(settlements)

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        await self._answer("renew")
        return await super().renew(heartbeats, lease, workers)

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        await self._answer("upcoming_work")
        return await super().upcoming_work(request)

    async def remove_worker(self, worker_id: str) -> None:
        await self._answer("remove_worker")
        await super().remove_worker(worker_id)

    async def _answer(self, method: str) -> None:
        if method in self.silent:
            await self.answers.wait()


@pytest.mark.parametrize("moment", range(0, 20, 4))
@pytest.mark.parametrize("method", ["claim", "settle", "renew", "upcoming_work", "remove_worker"])
async def test_a_worker_ends_in_time_although_the_store_never_answers(
    method: str, moment: int, caplog: pytest.LogCaptureFixture
) -> None:
    job = text_job(echo)
    backend = backend_on(store := Silent(), job)
    await job.later_many([PARAMS] * 3)
    store.silent.add(method)
    worker = Worker(backend, drain_timeout=SOON, release_timeout=SOON, until_empty=True)
    task = asyncio.create_task(worker.run())
    await turns(moment)
    worker.stop()
    await until(task)
    if method == "remove_worker":
        assert "the database did not answer within 0.02 s: the worker ends" in caplog.text
    store.answers.set()
    await turns()
    assert not [task for task in asyncio.all_tasks() if "LeaseKeeper" in repr(task.get_coro())], "it still reports"


async def test_without_a_time_limit_a_worker_waits_for_the_store() -> None:
    job = text_job(echo)
    backend = backend_on(store := Silent(), job)
    store.silent.add("claim")
    worker = Worker(backend, drain_timeout=SOON, release_timeout=timedelta(hours=1))
    task = asyncio.create_task(worker.run())
    await turns()
    worker.stop()
    _, pending = await asyncio.wait([task], timeout=0.3)
    assert pending
    store.answers.set()
    await until(task)


@pytest.mark.parametrize("is_over", [False, True])
async def test_jobs_of_a_claim_that_is_answered_after_the_stop_are_released(*, is_over: bool) -> None:
    job = text_job(echo)
    backend = backend_on(store := Silent(), job)
    ids = await job.later_many([PARAMS] * 3)
    store.silent.add("claim")
    worker = Worker(backend, drain_timeout=SOON if is_over else timedelta(hours=1), release_timeout=SOON)
    task = asyncio.create_task(worker.run())
    await turns()
    worker.stop()
    if is_over:
        await until(task)
    await turns()
    store.answers.set()
    await until(task)
    await turns()

    records = await all_records(backend, ids)
    assert {(record.status, record.attempt_count) for record in records} == {(JobStatus.PENDING, 0)}


async def test_a_backend_is_closed_in_time_and_names_the_jobs_that_it_could_not_release(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settler, "_LONGEST_RELEASE", SOON)
    job = text_job(echo)
    backend = backend_on(store := Silent(), job)
    (job_id,) = await job.later_many([PARAMS])
    await backend.poll_and_claim(1)
    store.silent.add("settle")
    async with asyncio.timeout(30):
        await backend.shutdown()
    reason = "the database did not answer in time"
    assert caplog.messages == [
        f"{job.job_name} {job_id} could not be released and waits until its lease expires: {reason}"
    ]


def durations() -> Sequence[Callable[[PollingBackend], object]]:
    """Return calls with values that are no duration."""
    return [
        lambda backend: Worker(backend, drain_timeout=5),  # type: ignore[arg-type]
        lambda backend: Worker(backend, release_timeout=5),  # type: ignore[arg-type]
        lambda backend: Worker(backend, concurrency=2.5),  # type: ignore[arg-type]
        lambda backend: Worker(backend, queues="mail"),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("number", range(4))
def test_options_of_a_wrong_type_are_refused_when_they_are_given(number: int) -> None:
    with pytest.raises(ValueError, match="must be a"):
        durations()[number](backend_on())
