"""The worker and the single tick: their claims, how they stop, and errors that do not stop them."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs import (
    Cancel,
    DatabaseError,
    HandlerNotImplementedError,
    InvalidOptionError,
    JobContext,
    JobOptions,
    JobStatus,
    PrivilegeMissingError,
    RetryPolicy,
    Snooze,
    Worker,
    tick,
)
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record import Claim, DueSchedules, Heartbeat, LeaseAnswer, NewJob, Outcome
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.stores import create_sqlite_file
from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import (
    SECOND,
    SOON,
    Gate,
    Text,
    backend_on,
    echo,
    fail,
    read,
    retried_at_once,
    status_of,
    text_job,
    turns,
    until,
)

PARAMS = {"text": "hello"}
HOUR = timedelta(hours=1)


async def stub(params: Text, context: JobContext) -> Text:
    """A stub that was never implemented."""
    raise HandlerNotImplementedError("Stub")


async def statuses(backend: PollingBackend) -> dict[str, int]:
    """Return the number of jobs in each status."""
    counts: Counter[str] = Counter()
    for count in await backend.store.count_jobs():
        counts[count.status] += count.count
    return dict(counts)


class Heard:
    """A listener that records the job's name of each call, and the outcome of each end."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Outcome | None]] = []

    def started(self, claim: Claim) -> None:
        self.calls.append((claim.job_name, None))

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        self.calls.append((claim.job_name, outcome))


async def begin(worker: Worker) -> asyncio.Task[None]:
    """Start a worker, and let it claim the due jobs."""
    task = asyncio.create_task(worker.run())
    await turns()
    return task


async def finished(worker: Worker) -> None:
    """Wait for a worker to end, which must happen soon."""
    await asyncio.wait_for(worker.run(), 20)


# --- what it takes ---------------------------------------------------------------------------------------------------


async def test_a_worker_runs_until_the_queue_is_empty() -> None:
    good, bad = text_job(echo, "Good"), text_job(fail, "Bad", retried_at_once(max_attempts=3))
    backend = backend_on(MemoryStore(), good, bad)
    await good.later_many([PARAMS] * 20)
    bad_id = await bad.later(PARAMS)
    await finished(Worker(backend, until_empty=True))
    assert await statuses(backend) == {"completed": 20, "failed": 1}
    assert (await read(backend, bad_id)).attempt_count == 3


def test_a_worker_can_run_again_in_another_event_loop() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        await asyncio.sleep(0.001)  # the worker waits in the meantime
        return params

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    worker = Worker(backend, until_empty=True)
    for completed in (1, 2):
        asyncio.run(job.using(backend).later(PARAMS))
        asyncio.run(finished(worker))
        assert asyncio.run(statuses(backend)) == {"completed": completed}


async def test_until_empty_does_not_wait_for_a_thread_whose_handler_timed_out() -> None:
    go_on = threading.Event()

    def hangs(params: Text, context: JobContext) -> Text:
        go_on.wait(10)
        return params

    job = text_job(hangs, "Hang", JobOptions(timeout=SOON, max_attempts=1))
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    try:
        await asyncio.wait_for(Worker(backend, until_empty=True).run(), 3)
    finally:
        go_on.set()
    assert await status_of(backend, job_id) is JobStatus.FAILED


async def test_until_empty_waits_for_retries_that_are_due_soon_but_not_for_jobs_of_another_day() -> None:
    retry = RetryPolicy(initial=timedelta(milliseconds=50), jitter=0)
    bad, good = text_job(fail, "Bad", JobOptions(max_attempts=2, retry=retry)), text_job(echo, "Good")
    backend = backend_on(MemoryStore(), bad, good)
    await bad.later(PARAMS)
    await good.later(PARAMS, delay=HOUR)
    await finished(Worker(backend, until_empty=True))
    assert await statuses(backend) == {"failed": 1, "pending": 1}


async def test_until_empty_runs_the_job_of_a_crashed_worker_whose_lease_ends_soon_but_waits_for_no_long_lease() -> None:
    clock, crashed, elsewhere = FakeClock(), text_job(echo, "Crashed"), text_job(echo, "Elsewhere")
    store = MemoryStore(clock)
    backend = backend_on(store, crashed, elsewhere, clock=clock)
    for job, lease in ((crashed, timedelta(seconds=30)), (elsewhere, HOUR)):
        await job.later(PARAMS)
        assert await store.claim(replace(backend.execution.request(limit=1), lease=lease))
    task = await begin(Worker(backend, until_empty=True))
    await asyncio.sleep(3 * SOON.total_seconds())
    assert not task.done()

    clock.advance(timedelta(seconds=31))
    await asyncio.sleep(3 * SOON.total_seconds())
    clock.advance(timedelta(minutes=1))  # an expired job is due again within the jitter
    await until(task)

    assert await statuses(backend) == {"completed": 1, "running": 1}


async def test_no_more_jobs_run_at_once_than_the_concurrency_allows() -> None:
    running, most = 0, 0

    async def handler(params: Text, context: JobContext) -> Text:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await turns(5)
        running -= 1
        return params

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    await job.later_many([PARAMS] * 30)
    await finished(Worker(backend, concurrency=7, until_empty=True))
    assert most == 7


async def test_the_most_urgent_jobs_come_first() -> None:
    order: list[str] = []

    async def handler(params: Text, context: JobContext) -> Text:
        order.append(params.text)
        return params

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    for text, priority in (("first", 0), ("second", 0), ("urgent", 10), ("idle", -10)):
        await job.later({"text": text}, priority=priority)
    await finished(Worker(backend, concurrency=1, until_empty=True))
    assert order == ["urgent", "first", "second", "idle"]


async def test_a_worker_takes_only_from_its_queues() -> None:
    mail, other = text_job(echo, "Mail", JobOptions(queue="mail")), text_job(echo, "Other")
    backend = backend_on(MemoryStore(), mail, other)
    mail_id, other_id = await mail.later(PARAMS), await other.later(PARAMS)
    await finished(Worker(backend, queues=("mail", "reports"), until_empty=True))
    assert await status_of(backend, mail_id) is JobStatus.COMPLETED
    assert await status_of(backend, other_id) is JobStatus.PENDING


async def test_jobs_of_stubs_are_not_claimed_and_the_worker_says_so(caplog: pytest.LogCaptureFixture) -> None:
    job = text_job(stub, "Stub")
    backend = backend_on(MemoryStore(), job, text_job(echo))
    job_id = await job.later(PARAMS)
    await finished(Worker(backend, until_empty=True))
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    assert caplog.messages == ["the handler of Stub is still a stub; its jobs are not claimed"]


async def test_names_and_versions_that_are_not_known_here_stay_pending() -> None:
    backend = backend_on(MemoryStore(), text_job(echo))
    await backend.store.insert(
        [
            NewJob(id="j1", job_name="Other", params="{}"),
            NewJob(id="j2", job_name="Echo", params="{}", spec_version=2),
        ]
    )
    await finished(Worker(backend, until_empty=True))
    assert await statuses(backend) == {"pending": 2}


async def test_a_job_enqueued_in_this_process_is_taken_without_waiting_for_the_next_poll() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job, poll_interval=HOUR)
    worker = Worker(backend)
    task = await begin(worker)
    handle = await job.later(PARAMS)
    assert (await handle.result(timeout=5 * SECOND)).ok
    worker.stop()
    await until(task)
    assert backend.inserted == []


def test_a_plain_handler_that_enqueues_in_its_thread_wakes_the_worker() -> None:
    go_on, child_ran = threading.Event(), threading.Event()

    async def handle_child(params: Text, context: JobContext) -> Text:
        child_ran.set()
        return params

    child = text_job(handle_child, "Child")

    def handle_parent(params: Text, context: JobContext) -> Text:
        go_on.wait(30)
        asyncio.run(child.later(PARAMS))
        return Text(text=str(child_ran.wait(30)))

    parent = text_job(handle_parent, "Parent", JobOptions(max_attempts=1))

    async def scenario() -> None:
        backend = backend_on(MemoryStore(), parent, child, poll_interval=HOUR)
        handle = await parent.later(PARAMS)
        worker = Worker(backend)
        task = await begin(worker)
        go_on.set()
        result = await handle.result(timeout=10 * SECOND)
        assert (result.metadata.error, result.value) == (None, Text(text="True"))
        worker.stop()
        await until(task)

    # Not asyncio.run: a worker that another thread woke hangs, and could not be cancelled at the end.
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_debug(True)  # so that calls from foreign threads are rejected
        loop.run_until_complete(scenario())


async def test_a_job_of_a_dead_worker_is_taken_over() -> None:
    clock, job = FakeClock(), text_job(echo)
    backend = backend_on(None, job, clock=clock, lease=SECOND)
    job_id = await job.later(PARAMS)
    await backend.store.claim(backend.execution.request(limit=1))
    clock.advance(2 * SECOND)
    worker = Worker(backend)
    task = await begin(worker)
    clock.advance(2 * SECOND)
    while await status_of(backend, job_id) is not JobStatus.COMPLETED:
        await asyncio.sleep(0.001)
    assert (await read(backend, job_id)).attempt_count == 2
    worker.stop()
    await until(task)


async def test_a_worker_that_was_paused_does_not_take_its_own_running_job_for_lost() -> None:
    renewing = asyncio.Event()

    class SlowRenewal(FaultyStore):
        async def renew(
            self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
        ) -> Sequence[LeaseAnswer]:
            if heartbeats:
                await renewing.wait()
            return await super().renew(heartbeats, lease, workers)

    clock, gate = FakeClock(), Gate()
    store, job = SlowRenewal(clock), text_job(gate)
    backend = backend_on(store, job, clock=clock, lease=SECOND)
    running = await job.later(PARAMS)
    worker = Worker(backend, concurrency=1)
    task = await begin(worker)
    dead = await job.later(PARAMS)
    await store.claim(backend.execution.request(limit=1))

    clock.advance(5 * SECOND)
    while await status_of(backend, dead) is JobStatus.RUNNING:
        await asyncio.sleep(0.001)

    assert await status_of(backend, running) is JobStatus.RUNNING
    renewing.set()
    gate.opened.set()
    worker.stop()
    await until(task)
    record = await read(backend, running)
    assert (record.status, record.attempt_count, gate.cancelled) == (JobStatus.COMPLETED, 1, 0)


async def test_running_jobs_can_be_watched() -> None:
    gate, job_ids = Gate(), []
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    job_ids = [str(handle) for handle in await job.later_many([PARAMS] * 2)]
    worker = Worker(backend)
    task = await begin(worker)
    gate.contexts[0].update_progress(40, "almost half")
    assert [attempt.claim.id for attempt in worker.attempts()] == job_ids
    assert worker.attempts()[0].context.progress == 40
    gate.opened.set()
    worker.stop()
    await until(task)
    assert worker.attempts() == []


async def test_the_listener_hears_of_every_start_and_every_end() -> None:
    async def snooze(params: Text, context: JobContext) -> Snooze:
        return Snooze(HOUR)

    async def refuse(params: Text, context: JobContext) -> Cancel:
        return Cancel("not today")

    once = JobOptions(max_attempts=1)
    jobs = [text_job(handler, handler.__name__, once) for handler in (echo, fail, snooze, refuse)]
    backend = backend_on(MemoryStore(), *jobs)
    for job in jobs:
        await job.later(PARAMS)
    heard = Heard()
    await finished(Worker(backend, concurrency=1, until_empty=True, listener=heard))
    endings = {
        "echo": Outcome.COMPLETED,
        "fail": Outcome.FAILED,
        "snooze": Outcome.SNOOZED,
        "refuse": Outcome.CANCELLED,
    }
    assert heard.calls == [call for name, outcome in endings.items() for call in ((name, None), (name, outcome))]


async def test_the_listener_hears_of_jobs_that_are_released_at_a_stop() -> None:
    gate, heard = Gate(), Heard()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    await job.later(PARAMS)
    worker = Worker(backend, listener=heard)
    task = await begin(worker)
    worker.stop()
    worker.stop()
    await until(task)
    assert heard.calls == [("Echo", None), ("Echo", Outcome.RELEASED)]


async def test_a_listener_that_fails_harms_no_job(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Heard):
        def started(self, claim: Claim) -> None:
            raise BrokenPipeError("the reader has gone")

        def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
            raise BrokenPipeError("the reader has gone")

    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    await job.later(PARAMS)
    await finished(Worker(backend, until_empty=True, listener=Broken()))
    assert await statuses(backend) == {"completed": 1}
    assert caplog.messages == ["the listener of this worker failed"] * 2


def test_a_worker_runs_at_least_one_job() -> None:
    with pytest.raises(InvalidOptionError, match="concurrency must be between 1 and 10000, not 0"):
        Worker(backend_on(MemoryStore()), concurrency=0)


def test_a_worker_refuses_a_queue_whose_name_none_can_have() -> None:
    with pytest.raises(InvalidOptionError, match="queues must not contain NUL characters or lone surrogates"):
        Worker(backend_on(MemoryStore()), queues=("mail", "\0"))


# --- stopping --------------------------------------------------------------------------------------------------------


async def test_an_idle_worker_stops_at_once() -> None:
    worker = Worker(backend_on(MemoryStore(), text_job(echo), poll_interval=HOUR))
    task = await begin(worker)
    worker.stop()
    await until(task)


async def test_a_worker_that_was_stopped_before_it_began_takes_nothing() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    await job.later(PARAMS)
    worker = Worker(backend)
    worker.stop()
    await finished(worker)
    assert await statuses(backend) == {"pending": 1}


async def test_stopping_lets_running_jobs_finish_and_claims_no_more() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    running = await job.later(PARAMS)
    worker = Worker(backend)
    task = await begin(worker)
    worker.stop()
    waiting = await job.later(PARAMS)
    await asyncio.sleep(0.05)
    assert not task.done()
    gate.opened.set()
    await until(task)
    assert await status_of(backend, running) is JobStatus.COMPLETED
    assert await status_of(backend, waiting) is JobStatus.PENDING


async def test_unfinished_jobs_are_released_without_an_attempt() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=SOON)
    task = await begin(worker)
    gate.contexts[0].update_progress(30, "a third")
    worker.stop()
    await until(task)
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count, record.error) == (JobStatus.PENDING, 0, None)
    assert (record.progress, record.progress_message) == (30, "a third")
    assert gate.cancelled == 1


async def test_a_second_stop_releases_at_once() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=HOUR)
    task = await begin(worker)
    worker.stop()
    await turns()
    assert not task.done()
    worker.stop()
    await until(task)
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_a_plain_handler_that_hangs_does_not_keep_the_worker_from_stopping() -> None:
    began, go_on = threading.Event(), threading.Event()

    def hangs(params: Text, context: JobContext) -> Text:
        began.set()
        go_on.wait(10)
        return params

    job = text_job(hangs)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=SOON)
    task = await begin(worker)
    assert await asyncio.to_thread(began.wait, 5)
    worker.stop()
    await until(task)
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    go_on.set()


async def test_an_async_handler_that_will_not_be_cancelled_does_not_keep_the_worker_from_stopping() -> None:
    go_on = asyncio.Event()

    async def stubborn(params: Text, context: JobContext) -> Text:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        return params

    job = text_job(stubborn)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=SOON)
    task = await begin(worker)
    worker.stop()
    await until(task)
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    go_on.set()
    await turns()
    assert await read(backend, job_id) == record


async def test_jobs_claimed_at_the_moment_of_a_stop_are_released() -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    ids = await job.later_many([PARAMS] * 3)
    worker = Worker(backend)
    store.after["claim"] = worker.stop
    await finished(worker)
    records = [await read(backend, job_id) for job_id in ids]
    assert {(record.status, record.attempt_count) for record in records} == {(JobStatus.PENDING, 0)}


async def test_a_worker_that_is_cancelled_drains_and_releases() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    task = await begin(Worker(backend, drain_timeout=SOON))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_a_worker_that_ends_leaves_the_runs_of_others_alone() -> None:
    gate = Gate()
    slow, quick = text_job(gate, "Slow"), text_job(echo, "Quick")
    backend = backend_on(MemoryStore(), slow, quick)
    run = asyncio.create_task(slow.now(PARAMS))
    await turns()
    await quick.later(PARAMS)
    await finished(Worker(backend, until_empty=True, drain_timeout=SOON))
    assert gate.cancelled == 0
    gate.opened.set()
    assert (await run).ok


async def test_a_handler_that_still_runs_in_its_thread_keeps_its_slot(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    def hangs(params: Text, context: JobContext) -> Text:
        go_on.wait(10)
        return params

    hanging = text_job(hangs, "Hang", JobOptions(timeout=SOON, max_attempts=1))
    quick = text_job(echo, "Quick")
    backend = backend_on(MemoryStore(), hanging, quick)
    hanging_id, quick_id = await hanging.later(PARAMS), await quick.later(PARAMS)
    worker = Worker(backend, concurrency=1, until_empty=True)
    task = await begin(worker)
    while await status_of(backend, hanging_id) is not JobStatus.FAILED:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert await status_of(backend, quick_id) is JobStatus.PENDING
    assert f"Hang {hanging_id}: its handler still runs in a thread" in caplog.text
    while "all 1 slots are occupied by handlers that did not return in time" not in caplog.text:
        await asyncio.sleep(0.05)
    assert worker.health.stuck() == worker.health.unready() == "handlers that did not return in time occupy all slots"
    go_on.set()
    await until(task)
    assert await status_of(backend, quick_id) is JobStatus.COMPLETED


# --- what does not stop it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["claim", "upcoming_work"])
async def test_a_database_that_is_away_is_waited_for(method: str, caplog: pytest.LogCaptureFixture) -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    store.break_down(method)
    began = time.monotonic()
    task = await begin(Worker(backend, until_empty=True))
    while store.calls[method] < 3:
        await asyncio.sleep(0.01)
    assert time.monotonic() - began >= 0.29  # after 0.1 s, and then after 0.2 s
    assert not task.done()
    await job.later(PARAMS)
    store.mend()
    await until(task)
    assert await statuses(backend) == {"completed": 1}
    assert caplog.messages == [
        f"the database cannot be used, trying again: the database is away ({method})",
        "the database is back",
    ]


async def test_a_worker_ends_if_its_first_claim_is_not_permitted_and_waits_if_a_later_one_is_not() -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    store.break_down("claim", error=PrivilegeMissingError("permission denied for table jobs"))
    with pytest.raises(PrivilegeMissingError, match="grant the privilege to this role"):
        await finished(Worker(backend, until_empty=True))
    store.mend()
    worker = Worker(backend)
    task = await begin(worker)
    store.break_down("claim", error=PrivilegeMissingError("permission denied for table jobs"))
    await job.later(PARAMS)
    async with asyncio.timeout(10):
        while store.calls["claim"] < 4:
            await asyncio.sleep(0.01)
        store.mend()
        while await statuses(backend) != {"completed": 1}:
            await asyncio.sleep(0.01)
    worker.stop()
    await until(task)


@pytest.mark.parametrize(("method", "chore"), [("expire", "expire"), ("due_schedules", "schedule")])
async def test_jobs_are_run_although_housekeeping_fails(
    method: str, chore: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    store.break_down(method)
    await job.later(PARAMS)
    await finished(Worker(backend, until_empty=True))
    assert await statuses(backend) == {"completed": 1}
    assert caplog.messages[0] == f"maintenance ({chore}) failed: the database is away ({method})"


async def test_a_worker_uses_what_replaced_the_execution_of_its_backend() -> None:
    backend = backend_on(FaultyStore(), job := text_job(echo))
    worker = Worker(backend, until_empty=True)
    earlier = backend.execution
    await backend.shutdown()
    await job.later(PARAMS)

    await finished(worker)

    assert backend.execution is not earlier
    assert earlier.runner.counts.totals() == {}
    assert await statuses(backend) == {"completed": 1}


async def test_jobs_that_wait_are_claimed_before_there_is_housekeeping() -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    await job.later(PARAMS)
    await finished(Worker(backend, until_empty=True))
    asked = [method for method in store.calls if method in ("claim", "expire", "due_schedules")]
    assert asked == ["claim", "expire", "due_schedules"]


async def test_jobs_are_run_while_housekeeping_waits_for_others() -> None:
    store, job = FaultyStore(), text_job(echo)
    backend = backend_on(store, job)
    stuck = asyncio.Event()

    async def wait_for_ever(job_names: Sequence[str]) -> DueSchedules:
        stuck.set()
        await asyncio.Event().wait()
        raise AssertionError(job_names)

    store.due_schedules = wait_for_ever  # type: ignore[method-assign]  # a row that somebody has locked
    worker = Worker(backend)
    task = await begin(worker)
    await until(stuck)
    job_id = await job.later(PARAMS)
    await turns()
    assert await status_of(backend, job_id) is JobStatus.COMPLETED
    worker.stop()
    await until(task)


async def test_a_database_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "no" / "such" / "folder.sqlite3")
    with pytest.raises(DatabaseError, match="there is no SQLite database"):
        await Worker(backend_on(SqlStore(database), text_job(echo))).run()


async def test_a_worker_stops_although_the_database_is_away(caplog: pytest.LogCaptureFixture) -> None:
    store, gate = FaultyStore(), Gate()
    job = text_job(gate)
    backend = backend_on(store, job)
    await job.later(PARAMS)
    worker = Worker(backend, drain_timeout=SOON)
    task = await begin(worker)
    store.break_down("settle", "claim", "renew")
    worker.stop()
    await until(task)
    assert "is over, and its outcome could not be stored so far" in caplog.text


@pytest.mark.parametrize(
    "columns",
    [
        {"params": '{"text": 5}'},
        {"params": '{"text": '},
        {"params": b"\xff\xfe"},
        {"params": ""},
        {"created_at": "2026-01-01 12:00:00"},
        {"updated_at": 9e15},
        {"priority": "high"},
        {"scheduled_for": 1.5},
        {"progress_message": b"\xff"},
    ],
    ids=str,
)
async def test_a_row_written_by_hand_never_keeps_other_jobs_from_running(
    columns: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    row = {"id": "by-hand", "job_name": "Echo", "params": '{"text":"a"}', "created_at": 1, "updated_at": 1} | columns
    values = ", ".join(
        f"CAST(:{name} AS TEXT)" if isinstance(value, bytes) else f":{name}" for name, value in row.items()
    )
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({values})", row)
    connection.close()
    job = text_job(echo, options=retried_at_once())
    backend = backend_on(SqlStore(SqliteDatabase(path)), job)
    job_ids = [str(handle) for handle in await job.later_many([PARAMS] * 3)]
    await finished(Worker(backend, until_empty=True))
    assert [await status_of(backend, job_id) for job_id in job_ids] == [JobStatus.COMPLETED] * 3
    record = await read(backend, "by-hand")
    fits = "params" not in columns
    assert record.status is (JobStatus.COMPLETED if fits else JobStatus.FAILED)
    assert (record.attempt_count, record.is_parked) == (1, not fits)
    await backend.shutdown()


async def test_two_workers_on_one_sqlite_file_run_each_job_once(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    runs: Counter[str | None] = Counter()

    async def handler(params: Text, context: JobContext) -> Text:
        runs[context.job_id] += 1
        return params

    job = text_job(handler)
    backends = [backend_on(SqlStore(SqliteDatabase(tmp_path / "jobs.sqlite3")), job) for _ in range(2)]
    job_ids = [str(handle) for handle in await job.later_many([PARAMS] * 300)]
    await asyncio.gather(*(finished(Worker(backend, until_empty=True)) for backend in backends))
    assert runs == Counter(job_ids)
    assert await statuses(backends[0]) == {"completed": 300}
    for backend in backends:
        await backend.shutdown()


# --- a tick ----------------------------------------------------------------------------------------------------------


async def test_a_tick_runs_everything_that_is_due() -> None:
    good, bad = text_job(echo, "Good"), text_job(fail, "Bad")
    backend = backend_on(MemoryStore(), good, bad, max_concurrency=3)
    await good.later_many([PARAMS] * 10)
    await bad.later(PARAMS)
    await good.later(PARAMS, delay=HOUR)
    done = await tick(backend)
    assert (done.completed, done.failed, done.expired, done.scheduled) == (10, 1, 0, 0)
    assert await statuses(backend) == {"completed": 10, "pending": 2}


@pytest.mark.parametrize("limit", [0, 1, 4, 100])
async def test_a_tick_ends_at_its_limit(limit: int) -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job, max_concurrency=3)
    await job.later_many([PARAMS] * 10)
    assert (await tick(backend, limit=limit)).completed == min(limit, 10)
    with pytest.raises(InvalidOptionError, match="limit must be at least 0, not -1"):
        await tick(backend, limit=-1)


async def test_a_tick_begins_no_more_jobs_once_its_budget_is_used_up() -> None:
    clock = FakeClock()

    async def slow(params: Text, context: JobContext) -> Text:
        clock.advance(4 * SECOND)
        return params

    job = text_job(slow)
    backend = backend_on(None, job, clock=clock, max_concurrency=1)
    await job.later_many([PARAMS] * 10)
    assert (await tick(backend, budget=10 * SECOND)).completed == 3  # started at 0, 4 and 8 seconds
    assert (await tick(backend, budget=timedelta(0))).completed == 0


async def test_a_tick_takes_jobs_over_from_dead_workers() -> None:
    clock, job = FakeClock(), text_job(echo)
    backend = backend_on(None, job, clock=clock, lease=SECOND)
    job_id = await job.later(PARAMS)
    await backend.poll_and_claim()
    clock.advance(2 * SECOND)
    assert (await tick(backend)).expired == 1
    clock.advance(2 * SECOND)
    assert (await tick(backend)).completed == 1
    assert await status_of(backend, job_id) is JobStatus.COMPLETED


async def test_a_tick_says_when_the_database_is_away() -> None:
    store = FaultyStore()
    backend = backend_on(store, text_job(echo))
    store.break_down("pending_work")
    with pytest.raises(DatabaseError, match="the database is away"):
        await tick(backend)


async def test_log_lines_name_the_job_and_its_error(caplog: pytest.LogCaptureFixture) -> None:
    job = text_job(fail, options=JobOptions(max_attempts=1))
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    with caplog.at_level(logging.WARNING, "server_jobs"):
        await tick(backend)
    (message,) = caplog.messages
    assert re.match(rf"Echo {job_id} failed for good in attempt 1 of 1 after \d.*: ValueError: no good: hello", message)
    assert caplog.records[0].levelname == "ERROR"
    assert caplog.records[0].exc_info is not None


async def test_a_worker_that_is_woken_while_it_claims_does_not_take_the_queue_for_empty() -> None:
    store, gate = FaultyStore(), Gate()
    job = text_job(gate)
    backend = backend_on(store, job)
    job_id = await job.later(PARAMS)

    def wake() -> None:
        del store.after["claim"]
        for notify in backend.inserted:
            notify()

    store.after["claim"] = wake
    task = asyncio.create_task(Worker(backend, concurrency=1, until_empty=True, drain_timeout=SOON).run())
    ended, _ = await asyncio.wait({task}, timeout=10 * SOON.total_seconds())
    assert not ended
    gate.opened.set()
    await until(task)

    assert await status_of(backend, job_id) is JobStatus.COMPLETED
