"""The line of a failed attempt: its level, whether the job is retried, and its traceback."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from server_jobs import (
    Cancel,
    DatabaseError,
    DoNotRetryError,
    JobContext,
    JobOptions,
    RetryAfterError,
    RetryPolicy,
    Snooze,
    tick,
)
from server_jobs.domain.record import Expired, JobStatus, NewJob
from server_jobs.engine.attempts.attempt import Stop
from server_jobs.engine.attempts.failure_log import log_expired
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import SECOND, Text, TextJob, backend_on, fail, text_job, turns, until

PARAMS = {"text": "hello"}
RETRIED = JobOptions(max_attempts=3, retry=RetryPolicy(initial=4 * SECOND, jitter=0))


@dataclass(frozen=True)
class Shown:
    """The records of the engine."""

    log: pytest.LogCaptureFixture

    @property
    def records(self) -> list[logging.LogRecord]:
        return [record for record in self.log.records if record.name in ("server_jobs", "server_jobs.attempts")]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The level and the message of each record."""
        return [(record.levelname, record.getMessage()) for record in self.records]

    def one(self) -> tuple[str, str]:
        """Return the level and the message of the only record."""
        (line,) = self.lines
        return line


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Shown:
    caplog.set_level(logging.DEBUG, "server_jobs")
    return Shown(caplog)


Outcome = Text | Snooze | Cancel | BaseException | Callable[[JobContext], Awaitable[None]]
WELL = Text(text="well")


class Ending:
    """A job whose handler takes two seconds and then raises or returns the outcome."""

    def __init__(self, outcome: Outcome, options: JobOptions = RETRIED) -> None:
        self.clock = FakeClock()
        self.store = FaultyStore(self.clock)
        self.outcome = outcome
        self.job: TextJob = text_job(self._handle, options=options)
        self.backend: PollingBackend = backend_on(self.store, self.job, clock=self.clock)
        self.job_id = ""

    async def _handle(self, params: Text, context: JobContext) -> Text | Snooze | Cancel:
        self.clock.advance(2 * SECOND)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if isinstance(self.outcome, Text | Snooze | Cancel):
            return self.outcome
        await self.outcome(context)
        return params

    async def run(self, attempts: int = 1) -> None:
        self.job_id = self.job_id or await self.job.later(PARAMS)
        for _ in range(attempts):
            (claim,) = (await self.backend.poll_and_claim()).claimed_jobs
            await self.backend.execute(claim)
            self.clock.advance(timedelta(hours=1))


async def test_a_retry_is_a_warning_with_the_attempt_the_duration_and_the_time_until_it(shown: Shown) -> None:
    ending = Ending(ValueError("no good"))
    await ending.run()
    level, message = shown.one()
    assert level == "WARNING"
    assert message.startswith(
        f"Echo {ending.job_id} failed in attempt 1 of 3 after 2.0s, retry in 4.0s: ValueError: no good (at "
    )
    assert shown.records[0].exc_info is not None
    fields = vars(shown.records[0])
    assert (fields["event"], fields["status"], fields["seconds"], fields["retry_after"]) == ("failed", "pending", 2, 4)


async def test_the_last_failure_is_an_error_that_says_so(shown: Shown) -> None:
    ending = Ending(ValueError("no good"))
    await ending.run(3)
    assert [level for level, _ in shown.lines] == ["WARNING", "WARNING", "ERROR"]
    assert shown.lines[2][1].startswith(f"Echo {ending.job_id} failed for good in attempt 3 of 3 after 2.0s: Value")
    assert vars(shown.records[2])["status"] == "failed"


async def test_an_error_without_a_retry_is_final_in_any_attempt(shown: Shown) -> None:
    await Ending(DoNotRetryError("never")).run()
    level, message = shown.one()
    assert level == "ERROR"
    assert " failed for good in attempt 1 of 3 after 2.0s: DoNotRetryError: never" in message


async def test_the_time_of_the_retry_may_be_that_of_the_handler(shown: Shown) -> None:
    await Ending(RetryAfterError(timedelta(minutes=2))).run()
    assert ", retry in 2m 0s: " in shown.one()[1]


async def test_redacted_params_are_masked_in_the_line_and_its_traceback(shown: Shown) -> None:
    job = text_job(fail, options=JobOptions(max_attempts=1, redact=("/text",)))
    backend = backend_on(None, job)
    await job.later({"text": "my-secret"})
    await tick(backend)
    text = logging.Formatter().format(shown.records[0])
    assert "ValueError: no good: " in text
    assert "Traceback" in text
    assert "my-secret" not in text


async def test_a_parked_job_is_one_error(shown: Shown) -> None:
    ending = Ending(WELL)
    await ending.store.insert([NewJob(id="j1", job_name="Echo", params='{"text": 5}')])
    ending.job_id = "j1"
    await ending.run()
    level, message = shown.one()
    assert level == "ERROR"
    assert message.startswith("Echo j1 is parked, its params cannot be read: InvalidParamsError: ")


@pytest.mark.parametrize("outcome", [WELL, Snooze(timedelta(hours=1)), Cancel("not needed")])
async def test_an_attempt_that_did_not_fail_has_no_line(outcome: Outcome, shown: Shown) -> None:
    await Ending(outcome).run()
    assert shown.lines == []


async def test_a_job_that_is_cancelled_while_it_fails_is_no_failure(shown: Shown) -> None:
    ending = Ending(ValueError("no good"))

    async def cancel_and_fail(context: JobContext) -> None:
        await ending.store.cancel(str(context.job_id))
        raise ValueError("no good")

    ending.outcome = cancel_and_fail
    await ending.run()
    level, message = shown.one()
    assert level == "WARNING"
    assert (
        f"Echo {ending.job_id} raised an error in attempt 1 of 3 after 2.0s, but the job is cancelled: Val" in message
    )
    assert vars(shown.records[0])["event"] == "raised"


@pytest.mark.parametrize(("stop", "fate"), [(Stop.SHUTDOWN, "the job is pending"), (Stop.LOST, "its claim was lost")])
async def test_an_error_of_a_stopped_attempt_is_shown_as_one_that_does_not_count(
    stop: Stop, fate: str, shown: Shown
) -> None:
    ending = Ending(WELL)

    async def stop_and_fail(context: JobContext) -> None:
        (attempt,) = ending.backend.execution.runner.attempts()
        attempt.stop(stop)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            raise ValueError("while it was cleaning up") from error

    ending.outcome = stop_and_fail
    await ending.run()
    assert (
        f"raised an error in attempt 1 of 3 after 2.0s, but {fate}: ValueError: while it was cleaning up"
        in (shown.one()[1])
    )


async def test_an_attempt_whose_outcome_the_store_refuses_still_shows_its_error(shown: Shown) -> None:
    ending = Ending(ValueError("no good"))
    ending.store.break_down("settle", error=RuntimeError("a bug of the store"))
    with pytest.raises(RuntimeError, match="a bug of the store"):
        await ending.run()
    assert "raised an error" in shown.one()[1]
    assert "ValueError: no good" in shown.one()[1]


async def test_the_line_waits_for_the_store_and_says_what_became_of_the_job(shown: Shown) -> None:
    ending = Ending(ValueError("no good"))
    ending.store.break_down("settle", error=DatabaseError("away"))
    task = asyncio.create_task(ending.run())
    await turns()
    assert shown.lines == [("ERROR", "outcomes cannot be stored, trying again: away")]
    ending.store.mend()
    ending.clock.advance(2 * SECOND)
    await until(task)
    assert " failed in attempt 1 of 3 " in shown.lines[-1][1]


async def test_the_exception_is_not_kept_after_its_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "server_jobs")  # pytest keeps the records

    class Held(Exception):
        """An exception that a weak reference can point to."""

    ending = Ending(WELL)
    seen: list[weakref.ref[Held]] = []

    async def raise_held(context: JobContext) -> None:
        error = Held("no good")
        seen.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    ending.outcome = raise_held
    gc.disable()
    try:
        await ending.run()
        assert seen[0]() is None
    finally:
        gc.enable()


async def test_embedded_workers_and_ticks_log_through_the_same_logger(shown: Shown) -> None:
    job = text_job(fail, options=JobOptions(max_attempts=1))
    await job.using(backend := backend_on(None, job)).later(PARAMS)
    await tick(backend)
    assert [(record.name, record.levelname) for record in shown.records] == [("server_jobs.attempts", "ERROR")]


def test_an_expired_lease_is_an_error_if_it_ended_the_job(shown: Shown) -> None:
    log_expired([Expired("1", "Echo", JobStatus.PENDING), Expired("2", "Echo", JobStatus.FAILED)])
    assert shown.lines == [
        ("WARNING", "Echo 1: lease expired, now pending"),
        ("ERROR", "Echo 2: lease expired, failed for good in its last attempt"),
    ]


async def test_a_tick_logs_the_leases_that_expired(shown: Shown) -> None:
    clock, job = FakeClock(), text_job(fail, options=JobOptions(max_attempts=1))
    backend = backend_on(None, job, clock=clock, lease=SECOND)
    job_id = await job.later(PARAMS)
    await backend.poll_and_claim()
    clock.advance(2 * SECOND)
    await tick(backend)
    assert shown.one() == ("ERROR", f"Echo {job_id}: lease expired, failed for good in its last attempt")
