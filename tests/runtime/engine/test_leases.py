"""Leases are renewed while handlers run. A lost lease ends the handler, and later writes are rejected."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from server_jobs import Cancellation, DatabaseError, JobContext, JobStatus, Worker
from server_jobs.domain.record import Claim, Completed, Heartbeat, LeaseAnswer
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.engine.attempts.attempt import Attempt
from server_jobs.engine.attempts.leases import CANCEL_INTERVAL, LeaseKeeper
from server_jobs.engine.worker_backend import PollingBackend, WorkerExecutionResult
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import SECOND, Gate, Text, TextJob, backend_on, read, status_of, text_job, turns, until

PARAMS = {"text": "hello"}
LEASE = 9 * SECOND


class Run:
    """Jobs whose handler waits at a gate, on a store that counts and fails, with a clock that the test moves."""

    def __init__(
        self,
        job: TextJob | None = None,
        *,
        lease: timedelta = LEASE,
        store: FaultyStore | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.gate = Gate()
        self.clock = clock or FakeClock()
        self.store = store or FaultyStore(self.clock)
        self.job = job or text_job(self.gate)
        self.backend: PollingBackend = backend_on(self.store, self.job, clock=self.clock, lease=lease)
        self.claims: list[Claim] = []
        self.tasks: list[asyncio.Task[WorkerExecutionResult]] = []

    async def begin(self, jobs: int = 1) -> Run:
        """Claim that many jobs, and run them until their handlers wait."""
        await self.job.later_many([PARAMS] * jobs)
        self.claims += (await self.backend.poll_and_claim(jobs)).claimed_jobs
        self.tasks = [asyncio.create_task(self.backend.execute(claim)) for claim in self.claims]
        await turns()
        return self

    async def wait(self, duration: timedelta) -> None:
        """Let time pass, one second at a time."""
        while duration > timedelta(0):
            step = min(duration, SECOND)
            self.clock.advance(step)
            await turns()
            duration -= step

    async def end(self) -> WorkerExecutionResult:
        """Open the gate, and return the result of the first job."""
        self.gate.opened.set()
        return await self.result()

    async def result(self) -> WorkerExecutionResult:
        """Return the result of the first job."""
        await until(self.tasks[0])
        return await self.tasks[0]

    @property
    def job_id(self) -> str:
        return self.claims[0].id


async def test_the_lease_of_a_long_handler_is_renewed_as_long_as_it_runs() -> None:
    run = await Run().begin()
    for _ in range(20):
        await run.wait(5 * SECOND)
        assert await run.backend.handle_expired_locks() == []
        record = await read(run.backend, run.job_id)
        assert record.worker_expires_at is not None
        assert record.worker_expires_at > run.clock.now() + LEASE / 2
    assert (await run.end()).success


async def test_a_lease_is_renewed_at_a_third_of_its_length_and_not_more_often() -> None:
    run = await Run(lease=6 * SECOND).begin()
    await run.wait(1 * SECOND)
    assert run.store.calls["renew"] == 0
    await run.wait(1 * SECOND)
    assert run.store.calls["renew"] == 1
    await run.wait(20 * SECOND)
    assert run.store.calls["renew"] == 11
    await run.end()


async def test_a_short_lease_is_renewed_in_time_among_long_ones() -> None:
    run = await Run().begin()
    short = asyncio.create_task(run.job.now(PARAMS, worker_timeout=SECOND / 10))
    await turns()
    for _ in range(10):
        run.clock.advance(SECOND / 50)
        await turns()

    assert run.store.calls["renew"] >= 3
    assert {beat.id for beat in run.store.heartbeats}.isdisjoint({run.job_id})
    await run.end()
    assert (await short).ok


async def test_the_leases_of_all_jobs_are_renewed_with_one_call() -> None:
    run = await Run().begin(50)
    await run.wait(3 * SECOND)
    assert run.store.calls["renew"] == 1
    assert len(run.store.heartbeats) == 50
    await run.end()


async def test_nothing_is_renewed_when_nothing_runs() -> None:
    run = await Run().begin()
    await run.end()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await run.wait(60 * SECOND)
    assert run.store.calls["renew"] == 0


# --- progress --------------------------------------------------------------------------------------------------------


async def test_progress_is_stored_at_most_once_a_second_and_the_newest_counts() -> None:
    run = await Run(lease=600 * SECOND).begin()
    (context,) = run.gate.contexts
    for percent in range(90):
        context.update_progress(percent, f"row {percent}")
    assert run.store.calls["renew"] == 0
    await run.wait(1 * SECOND)
    assert run.store.calls["renew"] == 1
    record = await read(run.backend, run.job_id)
    assert (record.progress, record.progress_message) == (89, "row 89")
    await run.end()


async def test_progress_that_did_not_change_is_not_written_again() -> None:
    run = await Run().begin()
    run.gate.contexts[0].update_progress(50, "half")
    await run.wait(1 * SECOND)
    run.gate.contexts[0].update_progress(50, "half")
    await run.wait(1 * SECOND)
    assert run.store.calls["renew"] == 1
    await run.end()
    ((settlement,),) = run.store.settlements
    assert settlement.report is None


@pytest.mark.parametrize("outcome", ["completed", "cancelled", "released"])
async def test_the_last_progress_is_stored_with_the_outcome(outcome: str) -> None:
    run = await Run().begin()
    run.gate.contexts[0].update_progress(60, "almost")
    if outcome == "cancelled":
        run.gate.contexts[0].update_progress(70, "at the wall")
        await run.store.cancel(run.job_id)
        await run.wait(CANCEL_INTERVAL)
    if outcome == "released":
        await run.backend.release_lock(run.job_id)
    await run.end()
    record = await read(run.backend, run.job_id)
    assert (record.progress, record.progress_message) == {
        "completed": (100, "almost"),
        "cancelled": (70, "at the wall"),
        "released": (60, "almost"),
    }[outcome]


async def test_progress_that_a_failed_write_did_not_store_is_stored_with_the_outcome() -> None:
    run = await Run(lease=600 * SECOND).begin()
    run.gate.contexts[0].update_progress(60, "almost")
    run.store.break_down("renew")
    await run.wait(2 * SECOND)
    assert run.store.calls["renew"] == 2
    run.store.mend()
    await run.end()
    assert (await read(run.backend, run.job_id)).progress_message == "almost"


# --- cancelling ------------------------------------------------------------------------------------------------------


async def test_a_running_job_is_cancelled_within_three_seconds() -> None:
    run = await Run(lease=600 * SECOND).begin()
    assert await run.store.cancel(run.job_id) is Cancellation.REQUESTED
    assert not run.gate.contexts[0].cancelled
    await run.wait(CANCEL_INTERVAL)
    result = await run.result()
    assert not result.success
    record = await read(run.backend, run.job_id)
    assert (record.status, record.error) == (JobStatus.CANCELLED, "cancelled while it was running")
    assert run.gate.cancelled == 1


async def test_a_plain_handler_can_see_that_its_job_is_to_be_cancelled() -> None:
    began, seen = threading.Event(), threading.Event()

    def handler(params: Text, context: JobContext) -> Text:
        began.set()
        while not context.cancelled:
            threading.Event().wait(0.001)
        seen.set()
        return params

    run = await Run(text_job(handler)).begin()
    assert await asyncio.to_thread(began.wait, 5)
    await run.store.cancel(run.job_id)
    await run.wait(CANCEL_INTERVAL)
    assert await asyncio.to_thread(seen.wait, 5)
    await run.result()
    assert await status_of(run.backend, run.job_id) is JobStatus.CANCELLED


async def test_work_that_is_done_counts_although_the_job_was_to_be_cancelled() -> None:
    run = await Run().begin()
    await run.store.cancel(run.job_id)
    assert (await run.end()).success
    assert await status_of(run.backend, run.job_id) is JobStatus.COMPLETED


# --- losing it -------------------------------------------------------------------------------------------------------


async def take_over(run: Run) -> Claim:
    """Let the lease expire while this process stands still, and claim the job for another worker."""
    run.clock.advance(run.backend.config.lease + SECOND)
    assert await run.store.expire(jitter=timedelta(0)) != []
    (claim,) = await run.store.claim(run.backend.execution.request(limit=1))
    return claim


async def test_a_handler_whose_lease_was_lost_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    run = await Run().begin()
    claim = await take_over(run)
    await run.wait(3 * SECOND)
    result = await run.result()
    assert run.gate.cancelled == 1
    assert run.gate.contexts[0].cancelled
    assert not result.success
    assert result.error is not None
    assert "its lease expired" in result.error
    assert f"the claim on Echo {run.job_id} was lost" in caplog.text
    assert (await read(run.backend, run.job_id)).fencing_token == claim.token


async def test_the_result_of_a_handler_whose_lease_was_lost_is_refused() -> None:
    run = await Run().begin()
    claim = await take_over(run)
    result = await run.end()
    assert not result.success
    record = await read(run.backend, run.job_id)
    assert (record.status, record.result, record.fencing_token) == (JobStatus.RUNNING, None, claim.token)
    second = Completed(id=claim.id, token=claim.token, result='{"text":"second"}')
    assert await run.store.settle([second]) == [JobStatus.COMPLETED]


async def test_a_plain_handler_can_see_that_its_lease_was_lost_and_its_result_is_refused() -> None:
    began, seen = threading.Event(), threading.Event()

    def handler(params: Text, context: JobContext) -> Text:
        began.set()
        while not context.cancelled:
            threading.Event().wait(0.001)
        seen.set()
        return params

    run = await Run(text_job(handler)).begin()
    assert await asyncio.to_thread(began.wait, 5)
    claim = await take_over(run)
    await run.wait(3 * SECOND)
    assert await asyncio.to_thread(seen.wait, 5)
    assert not (await run.result()).success
    assert (await read(run.backend, run.job_id)).fencing_token == claim.token


class SlowRenewal(FaultyStore):
    """A store whose heartbeats arrive late."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.arrive = asyncio.Event()

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        await self.arrive.wait()
        return await super().renew(heartbeats, lease, workers)


async def test_a_heartbeat_that_arrives_after_the_outcome_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    store = SlowRenewal(clock)
    run = await Run(store=store, clock=clock).begin(2)
    await run.wait(3 * SECOND)
    await run.backend.release_lock(run.job_id)
    await run.result()
    store.arrive.set()
    await turns()
    assert len(store.heartbeats) == 2
    assert "was lost" not in caplog.text
    run.gate.opened.set()
    assert (await run.tasks[1]).success


@pytest.mark.parametrize("is_checked", [True, False], ids=["checked", "sabotage"])
@pytest.mark.parametrize("way", ["execute", "worker"])
async def test_no_handler_starts_when_its_lease_may_be_over(
    monkeypatch: pytest.MonkeyPatch, way: str, is_checked: bool
) -> None:
    """The process was suspended after the claim, and resumes before it can renew anything."""
    if not is_checked:
        monkeypatch.setattr(LeaseKeeper, "check", lambda *_: None)
    starts: list[str] = []

    async def handler(params: Text, context: JobContext) -> Text:
        starts.append(way)
        return params

    run = Run(text_job(handler))
    backend = run.backend
    await run.job.later(PARAMS)

    async def suspended() -> None:
        run.clock.advance(LEASE + SECOND)
        await run.store.expire(jitter=timedelta(0))
        assert len(await backend_on(run.store, text_job(handler), clock=run.clock).execution.take(1)) == 1

    if way == "execute":
        (claim,) = (await backend.poll_and_claim(1)).claimed_jobs
        await suspended()
        await backend.execute(claim)
    else:
        taken = list(await backend.execution.take(1))
        await suspended()

        async def take(limit: int, **_: object) -> list[Attempt]:
            return [taken.pop()] if taken else []

        monkeypatch.setattr(backend.execution, "take", take)
        worker = Worker(backend)
        task = asyncio.create_task(worker.run())
        await turns()
        worker.stop()
        await until(task)
    assert starts == ([] if is_checked else [way])


# --- a database that is away -----------------------------------------------------------------------------------------


async def test_an_outage_shorter_than_the_lease_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    run = await Run().begin()
    await run.wait(3 * SECOND)
    run.store.break_down("renew")
    await run.wait(8 * SECOND)
    run.store.mend()
    await run.wait(30 * SECOND)
    assert await run.store.expire(jitter=timedelta(0)) == []
    assert (await run.end()).success
    lines = [record.getMessage() for record in caplog.records if record.name == "server_jobs"]
    assert lines == ["leases cannot be renewed: the database is away (renew)", "leases are being renewed again"]


async def test_an_outage_longer_than_the_lease_ends_the_handler() -> None:
    run = await Run().begin()
    run.store.break_down("renew")
    await run.wait(8 * SECOND)
    assert run.gate.cancelled == 0
    await run.wait(1 * SECOND)
    assert run.gate.cancelled == 1
    assert not (await run.result()).success


async def test_an_unexpected_error_does_not_end_the_renewing(caplog: pytest.LogCaptureFixture) -> None:
    run = await Run().begin()
    run.store.break_down("renew", error=RuntimeError("a bug"))
    with caplog.at_level(logging.ERROR):
        await run.wait(4 * SECOND)
    assert "leases cannot be renewed: a bug" in caplog.text
    run.store.mend()
    await run.wait(30 * SECOND)
    assert (await run.end()).success


class BadRows(FaultyStore):
    """A store that rejects every renewal that contains one of these jobs."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.bad: set[str] = set()
        self.is_busy = False

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        if self.is_busy:
            holds = await super().renew([beat for beat in heartbeats if beat.id not in self.bad], lease, workers)
            answers = iter(holds)
            return [LeaseAnswer.BUSY if beat.id in self.bad else next(answers) for beat in heartbeats]
        if any(beat.id in self.bad for beat in heartbeats):
            self.calls["renew"] += 1
            raise DatabaseError("a trigger refused a row")
        return await super().renew(heartbeats, lease, workers)


@pytest.mark.parametrize("is_busy", [True, False])
@pytest.mark.parametrize("number", [1, 3])
async def test_rows_that_cannot_be_renewed_cost_no_other_lease(number: int, is_busy: bool) -> None:
    clock = FakeClock()
    store = BadRows(clock)
    run = await Run(store=store, clock=clock).begin(40)
    store.is_busy, store.bad = is_busy, {run.claims[index * 13].id for index in range(number)}
    await run.wait(LEASE + SECOND)

    assert {job.id for job in await store.expire(jitter=timedelta(0))} == store.bad
    assert run.gate.cancelled == number
    run.gate.opened.set()
    await asyncio.gather(*run.tasks)
    completed = [claim.id for claim in run.claims if await status_of(run.backend, claim.id) is JobStatus.COMPLETED]
    assert set(completed) == {claim.id for claim in run.claims} - store.bad


async def test_a_database_that_refuses_everything_is_not_asked_for_each_lease() -> None:
    clock = FakeClock()
    store = BadRows(clock)
    run = await Run(store=store, clock=clock).begin(200)
    store.bad = {claim.id for claim in run.claims}
    await run.wait(3 * SECOND)
    assert run.store.calls["renew"] < 80
    await run.wait(LEASE)
    run.gate.opened.set()
    await asyncio.gather(*run.tasks)


class SilentStore(FaultyStore):
    """A store that stops answering renewals, as if a network drops every packet."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.answers = asyncio.Event()

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        await self.answers.wait()
        return await super().renew(heartbeats, lease, workers)


async def test_a_renewal_that_is_never_answered_ends_the_handler_when_its_lease_is_over() -> None:
    clock = FakeClock()
    store = SilentStore(clock)
    run = await Run(store=store, clock=clock).begin()
    await run.wait(LEASE - SECOND)
    assert run.gate.cancelled == 0
    await run.wait(2 * SECOND)
    assert run.gate.cancelled == 1
    store.answers.set()
    await turns()
    assert not (await run.result()).success


async def test_a_renewal_that_failed_is_tried_again_long_before_the_lease_is_over() -> None:
    run = await Run(lease=27 * SECOND).begin()
    run.store.break_down("renew")
    await run.wait(3 * SECOND)
    run.store.mend()
    calls = run.store.calls["renew"]
    await run.wait(SECOND)
    assert run.store.calls["renew"] == calls + 1
    await run.end()
