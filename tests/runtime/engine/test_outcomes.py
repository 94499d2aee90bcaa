"""Outcomes other than a result that a handler can return, and their effect on the job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from server_jobs import (
    Cancel,
    DoNotRetryError,
    InvalidOptionError,
    JobContext,
    JobOptions,
    JobStatus,
    RetryAfterError,
    ServerJobsError,
    Snooze,
    Worker,
)
from server_jobs.domain.record import JobRecord
from server_jobs.engine.worker_backend import PollingBackend, WorkerExecutionResult
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import SECOND, Text, TextJob, backend_on, read, text_job

PARAMS = {"text": "hello"}
HOUR = timedelta(hours=1)


def saying(outcome: Snooze | Cancel | BaseException, options: JobOptions | None = None) -> TextJob:
    """Return a job whose handler returns or raises that outcome."""

    async def handler(params: Text, context: JobContext) -> Text | Snooze | Cancel:
        context.update_progress(40, "looked")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return text_job(handler, options=options)


async def once(job: TextJob, clock: FakeClock) -> tuple[PollingBackend, JobRecord, WorkerExecutionResult]:
    """Run and store one attempt of that job."""
    backend = backend_on(MemoryStore(clock), job, clock=clock)
    job_id = await job.later(PARAMS)
    clock.advance(SECOND)
    result = await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    return backend, await read(backend, job_id), result


async def test_a_snoozed_job_runs_again_later_and_has_lost_no_attempt() -> None:
    clock = FakeClock()
    backend, record, result = await once(saying(Snooze(HOUR), JobOptions(max_attempts=1)), clock)

    assert (record.status, record.attempt_count, record.error) == (JobStatus.PENDING, 0, None)
    assert record.scheduled_for == clock.now() + HOUR
    assert (result.success, result.error) == (False, "snoozed by its handler for 1:00:00")
    assert (await backend.poll_and_claim()).claimed_jobs == ()
    clock.advance(HOUR)
    (again,) = (await backend.poll_and_claim()).claimed_jobs
    assert again.attempt == 1


async def test_a_job_that_its_handler_cancels_says_why_and_can_be_retried() -> None:
    backend, record, result = await once(saying(Cancel("the customer is gone")), FakeClock())

    assert (record.status, record.error) == (JobStatus.CANCELLED, "the customer is gone")
    assert (record.progress, record.progress_message) == (40, "looked")
    assert (result.success, result.error) == (False, "cancelled by its handler: the customer is gone")
    await backend.store.retry(record.id)


async def test_a_reason_that_no_store_could_keep_is_cleaned() -> None:
    _, record, _ = await once(saying(Cancel("gone\0\ud800")), FakeClock())
    assert record.error == "gone\N{SYMBOL FOR NULL}?"


async def test_an_error_that_says_not_to_retry_fails_the_job_at_once() -> None:
    _, record, _ = await once(saying(DoNotRetryError("no such mailbox"), JobOptions(max_attempts=9)), FakeClock())

    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 1)
    assert record.error is not None
    assert record.error.startswith("DoNotRetryError: no such mailbox (at ")


async def test_an_error_that_says_when_to_retry_is_obeyed_and_counts() -> None:
    clock = FakeClock()
    _, record, _ = await once(saying(RetryAfterError(HOUR, "busy"), JobOptions(max_attempts=2)), clock)

    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 1)
    assert record.scheduled_for == clock.now() + HOUR
    assert record.error is not None
    assert record.error.startswith("RetryAfterError: busy")


async def test_an_error_that_says_when_to_retry_gives_no_further_attempt() -> None:
    _, record, _ = await once(saying(RetryAfterError(HOUR), JobOptions(max_attempts=1)), FakeClock())
    assert record.status is JobStatus.FAILED
    assert "to be tried again after 1:00:00" in str(record.error)


async def test_a_subclass_of_an_applications_own_is_understood_too() -> None:
    class NoSuchMailboxError(DoNotRetryError):
        """An error as applications define it."""

    _, record, _ = await once(saying(NoSuchMailboxError("x")), FakeClock())
    assert record.status is JobStatus.FAILED


@pytest.mark.parametrize("make", [Snooze, RetryAfterError])
def test_a_negative_delay_is_refused(make: type[Snooze | RetryAfterError]) -> None:
    with pytest.raises(InvalidOptionError, match="must not be negative"):
        make(timedelta(seconds=-1))


def test_the_errors_are_errors_of_this_package() -> None:
    assert issubclass(DoNotRetryError, ServerJobsError)
    assert issubclass(RetryAfterError, ServerJobsError)


async def test_now_returns_a_result_without_a_value() -> None:
    snoozed, cancelled = saying(Snooze(HOUR)), saying(Cancel("no"))
    for job, status in ((snoozed, JobStatus.PENDING), (cancelled, JobStatus.CANCELLED)):
        backend_on(MemoryStore(), job)
        result = await job.now(PARAMS)
        assert (result.metadata.status, result.value) == (status, None)


async def test_now_without_a_row_reports_the_handlers_outcome() -> None:
    snoozed, cancelled = saying(Snooze(HOUR)), saying(Cancel("no"))
    for job, status, error in (
        (snoozed, JobStatus.FAILED, "snoozed by its handler for 1:00:00, and nothing is stored"),
        (cancelled, JobStatus.CANCELLED, "no"),
    ):
        backend_on(MemoryStore(), job)
        result = await job.now(PARAMS, persist=False)
        assert (result.metadata.status, result.error) == (status, error)


async def test_a_job_is_snoozed_as_often_as_its_handler_likes() -> None:
    runs: list[int] = []

    async def handler(params: Text, context: JobContext) -> Text | Snooze:
        runs.append(context.attempt)
        return params if len(runs) == 3 else Snooze(timedelta(milliseconds=1))

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    await Worker(backend, until_empty=True).run()

    assert runs == [1, 1, 1]
    assert (await read(backend, job_id)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("make", [Snooze, RetryAfterError])
@pytest.mark.parametrize("delay", [60, "PT1M", timedelta.max])
def test_a_delay_that_no_calendar_or_type_allows_is_refused(make: Callable[[object], object], delay: object) -> None:
    with pytest.raises(InvalidOptionError, match=r"must be a timedelta, not|must not be negative or longer than"):
        make(delay)


def test_a_job_cannot_be_snoozed_for_no_time() -> None:
    with pytest.raises(InvalidOptionError, match="must be longer than zero"):
        Snooze(timedelta(0))
