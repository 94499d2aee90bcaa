"""One attempt: for anything a handler does, the right outcome is stored and the worker continues."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from pydantic import BaseModel
from server_jobs import Backoff, JobContext, JobOptions, JobStatus, RetryPolicy, create_job_registry, define_job
from server_jobs.concurrency.handler_threads import in_thread
from server_jobs.contract.upcasts import EarlierVersion
from server_jobs.contract.values import MAX_ERROR_CHARACTERS
from server_jobs.domain.record import JobRecord, NewJob
from server_jobs.engine.attempts.error_text import describe
from server_jobs.engine.worker_backend import PollingBackend, WorkerExecutionResult
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import (
    SECOND,
    SOON,
    Gate,
    Text,
    TextJob,
    backend_on,
    echo,
    fail,
    read,
    status_of,
    text_job,
    turns,
    until,
)

PARAMS = {"text": "hello"}
TextHandler = Callable[[Text, JobContext], Awaitable[Text]] | Callable[[Text, JobContext], Text]


class Refusal(BaseException):
    """An exception with which some libraries end a call."""


class Unreadable(Exception):
    """An exception whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


async def attempt(job: TextJob, clock: FakeClock | None = None) -> tuple[WorkerExecutionResult, JobRecord]:
    """Enqueue the job, claim it and run it. Return the result and the row."""
    backend = backend_on(MemoryStore(clock), job, clock=clock)
    job_id = await job.later(PARAMS)
    result = await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    return result, await read(backend, job_id)


async def failure_of(handler: TextHandler, options: JobOptions | None = None) -> str:
    """Return the stored error of one attempt with that handler. The attempt must count and leave more attempts."""
    result, record = await attempt(text_job(handler, options=options))
    assert not result.success
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 1)
    assert record.error is not None
    assert record.error == result.error
    return record.error


async def start(backend: PollingBackend, job: TextJob) -> tuple[str, asyncio.Task[WorkerExecutionResult]]:
    """Enqueue the job, and run it until its handler waits."""
    job_id = await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    task = asyncio.create_task(backend.execute(claim))
    await turns()
    return job_id, task


# --- calling it ------------------------------------------------------------------------------------------------------


async def test_an_async_handler_runs_in_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    async def handler(params: Text, context: JobContext) -> Text:
        threads.append(threading.current_thread())
        return params

    result, record = await attempt(text_job(handler))
    assert result.success
    assert (record.status, record.result) == (JobStatus.COMPLETED, '{"text":"hello"}')
    assert threads == [threading.current_thread()]


async def test_a_plain_handler_runs_in_its_own_thread() -> None:
    threads: list[threading.Thread] = []

    def handler(params: Text, context: JobContext) -> Text:
        context.update_progress(30, "in a thread")
        threads.append(threading.current_thread())
        return params

    result, record = await attempt(text_job(handler))
    assert result.success
    assert record.progress_message == "in a thread"
    assert threads != [threading.current_thread()]


async def test_objects_partials_and_functions_that_return_awaitables_are_handlers_too() -> None:
    gate = Gate()
    gate.opened.set()

    async def with_extra(extra: str, params: Text, context: JobContext) -> Text:
        return Text(text=params.text + extra)

    def returns_awaitable(params: Text, context: JobContext) -> Awaitable[Text]:
        return echo(params, context)

    for handler in (gate, functools.partial(with_extra, "!"), returns_awaitable):
        result, _ = await attempt(text_job(handler))
        assert result.success, result.error


async def test_a_handler_may_return_the_mapping_of_its_result() -> None:
    async def handler(params: Text, context: JobContext) -> object:
        return {"text": "from a dict"}

    job: AnyJob = define_job(name="Echo", params=Text, result=Text, handler=handler)
    _, record = await attempt(job)
    assert record.result == '{"text":"from a dict"}'


# --- failing ---------------------------------------------------------------------------------------------------------


async def test_an_exception_is_stored_with_its_type_message_and_place() -> None:
    error = await failure_of(fail)
    assert error.startswith("ValueError: no good: hello (at runtime/example_jobs.py:")
    assert error.endswith(" in fail)")


async def test_a_model_error_in_a_handler_names_the_handlers_line() -> None:
    async def gives_a_number(params: Text, context: JobContext) -> Text:
        return Text.model_validate({"text": 5})

    async def mistypes(params: Text, context: JobContext) -> Text:
        return Text(text=getattr(params, "txet"))  # noqa: B009

    for handler in (gives_a_number, mistypes):
        assert re.search(rf" \(at engine/test_attempt\.py:\d+ in {handler.__name__}\)$", await failure_of(handler))


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(backoff=Backoff.EXPONENTIAL, initial=2 * SECOND, maximum=5 * SECOND, jitter=0),
        RetryPolicy(backoff=Backoff.LINEAR, initial=2 * SECOND, jitter=0),
        RetryPolicy(backoff=Backoff.FIXED, initial=3 * SECOND, jitter=0.5),
    ],
)
async def test_each_retry_waits_as_its_policy_says_until_no_attempt_is_left(policy: RetryPolicy) -> None:
    clock = FakeClock()
    job = text_job(fail, options=JobOptions(max_attempts=4, retry=policy))
    backend = backend_on(None, job, clock=clock)
    job_id = await job.later(PARAMS)
    for number in range(1, 4):
        await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
        record = await read(backend, job_id)
        assert (record.status, record.attempt_count) == (JobStatus.PENDING, number)
        wait = record.scheduled_for - clock.now()
        assert policy.delay(number, 0) <= wait <= policy.delay(number, 1)
        clock.advance(wait - timedelta(milliseconds=1))
        assert (await backend.poll_and_claim()).claimed_jobs == ()
        clock.advance(timedelta(milliseconds=1))
    await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 4)
    assert record.completed_at == clock.now()


async def test_exit_in_a_handler_fails_the_job_and_not_the_worker() -> None:
    async def leaves(params: Text, context: JobContext) -> Text:
        sys.exit(3)

    def leaves_in_thread(params: Text, context: JobContext) -> Text:
        sys.exit(3)

    assert (await failure_of(leaves)).startswith("SystemExit: 3")
    assert (await failure_of(leaves_in_thread)).startswith("SystemExit: 3")


async def test_a_base_exception_fails_the_job_but_not_the_worker() -> None:
    async def refuses(params: Text, context: JobContext) -> Text:
        raise Refusal("not today")

    def refuses_in_thread(params: Text, context: JobContext) -> Text:
        raise Refusal("not today")

    assert (await failure_of(refuses)).startswith("Refusal: not today (at ")
    assert (await failure_of(refuses_in_thread)).startswith("Refusal: not today (at ")


async def test_a_cancellation_without_a_request_is_an_ordinary_failure() -> None:
    async def awaits_what_was_cancelled(params: Text, context: JobContext) -> Text:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner
        return params

    def raises_it(params: Text, context: JobContext) -> Text:
        raise asyncio.CancelledError

    for handler in (awaits_what_was_cancelled, raises_it):
        assert await failure_of(handler) == "RuntimeError: the handler awaited something that was cancelled"


async def failing_child() -> None:
    raise ValueError("boom")


async def test_a_child_that_fails_in_a_task_group_fails_its_attempt() -> None:
    async def waits_at_the_end(params: Text, context: JobContext) -> Text:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing_child())
        return params

    async def raises_its_own(params: Text, context: JobContext) -> Text:
        try:
            return await waits_at_the_end(params, context)
        except* ValueError:
            raise Refusal("no child") from None

    # Before Python 3.13, the task of the handler then looks cancelled.
    assert (await failure_of(waits_at_the_end)).startswith("ExceptionGroup: unhandled errors in a TaskGroup")
    assert "Refusal: no child" in await failure_of(raises_its_own)


async def test_after_such_a_failure_a_timeout_is_a_timeout() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(failing_child())
        await asyncio.Event().wait()
        return params

    error = await failure_of(handler, BRIEF)
    assert error == "TimeoutError: the handler did not return within its timeout of 20ms"


async def test_a_handler_in_a_thread_may_raise_stop_iteration() -> None:
    def exhausts(params: Text, context: JobContext) -> Text:
        return next(iter([]))

    assert "the handler raised StopIteration" in await failure_of(exhausts)


def test_an_interrupt_from_the_keyboard_is_no_failure_of_the_job() -> None:
    async def interrupted(params: Text, context: JobContext) -> Text:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(attempt(text_job(interrupted)))


async def test_an_exception_without_a_readable_message_is_stored() -> None:
    async def unreadable(params: Text, context: JobContext) -> Text:
        raise Unreadable

    assert (await failure_of(unreadable)).startswith("Unreadable: (its message cannot be read) (at ")


async def test_an_error_text_that_no_database_takes_is_cleaned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "server_jobs")  # pytest-xdist cannot transfer a lone surrogate in a log line.

    async def handler(params: Text, context: JobContext) -> Text:
        raise ValueError("a\0b\ud800" + "x" * 2 * MAX_ERROR_CHARACTERS)

    error = await failure_of(handler)
    assert error.startswith("ValueError: a␀b?xxx")
    assert len(error) == MAX_ERROR_CHARACTERS


async def test_a_huge_error_is_logged_in_short(caplog: pytest.LogCaptureFixture) -> None:
    huge = "x" * 10_000_000

    async def handler(params: Text, context: JobContext) -> Text:
        error = RuntimeError(f"the last{huge}")
        error.add_note(huge)
        raise error from ValueError(huge)

    await failure_of(handler)
    (record,) = caplog.records
    text = logging.Formatter().format(record)  # as an application may format it
    assert len(text) < 100_000
    assert "ValueError: xxx" in text
    assert "RuntimeError: the lastxxx" in text
    assert record.funcName == "log_failure"


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert describe(ValueError("a")) == "ValueError: a"
    assert describe(ValueError()) == "ValueError"


async def test_a_handler_that_raises_generator_exit_fails_like_any_other() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        raise GeneratorExit("enough")

    assert (await failure_of(handler)).startswith("RuntimeError: the handler raised GeneratorExit")


# --- what it is given, what it gives ---------------------------------------------------------------------------------


class Number(BaseModel):
    number: float | None


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        (None, "(whole document): must be of type Number or a mapping, not NoneType"),
        ({"number": "x"}, '/number: Input should be a valid number, unable to parse string as a number, got "x"'),
        (Number(number=float("nan")), "/number: is nan, which JSON cannot express"),
        ({"number": 1, "note": "x" * 2**20}, "(whole document): has 1,048,598 bytes; at most 1,048,576 are stored"),
    ],
)
async def test_a_result_that_does_not_fit_fails_the_attempt_and_says_where(returned: object, problem: str) -> None:
    async def handler(params: Text, context: JobContext) -> object:
        return returned

    job: AnyJob = define_job(name="Count", params=Text, result=Number, handler=handler)
    result, record = await attempt(job)
    assert not result.success
    assert record.status is JobStatus.PENDING
    assert record.error == f"InvalidResultError: result of Count does not fit its spec: {problem}"


@pytest.mark.parametrize("params", ['{"text": 5}', "{}", "", "null", '{"text": "a"'])
async def test_params_in_a_row_that_do_not_fit_park_it_at_once(params: str) -> None:
    backend = backend_on(MemoryStore(), text_job(echo, options=JobOptions(max_attempts=2)))
    await backend.store.insert([NewJob(id="j1", job_name="Echo", params=params, max_attempts=2)])
    await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    record = await read(backend, "j1")
    assert (record.status, record.attempt_count, record.is_parked) == (JobStatus.FAILED, 1, True)
    assert record.error is not None
    assert record.error.startswith("UNREADABLE: InvalidParamsError: params of Echo do not fit its spec: ")


async def test_an_error_keeps_its_type_and_its_place_if_its_message_is_hidden() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        raise LookupError("any text")

    job = text_job(handler, options=JobOptions(max_attempts=1, redact=("/text",)))
    backend = backend_on(MemoryStore(), job)
    await backend.store.insert([NewJob(id="j1", job_name="Echo", params=json.dumps({"text": "line\n" * 3_000}))])
    result = await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    assert result.error is not None
    assert result.error.startswith("LookupError: ••• (at engine/test_attempt.py:")
    assert (await read(backend, "j1")).error_class == "LookupError"


async def test_the_error_about_params_in_a_row_shows_no_redacted_value() -> None:
    backend = backend_on(MemoryStore(), text_job(echo, options=JobOptions(redact=("/text",))))
    await backend.store.insert([NewJob(id="j1", job_name="Echo", params='{"text": ["hunter2"]}')])
    result = await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    assert result.error is not None
    assert "/text: " in result.error
    assert "hunter2" not in result.error


async def test_an_error_about_params_of_another_version_shows_none_of_them() -> None:
    """The pointers of the spec say nothing about the places in another version."""

    class Old(BaseModel):
        password: str

    async def handler(params: Text, context: JobContext) -> Text:
        raise ValueError(f"{params.text} is refused")

    job = text_job(handler, options=JobOptions(version=2, redact=("/other",)))
    backend = PollingBackend(
        database=MemoryStore(),
        job_registry=create_job_registry().register(
            job, earlier=[EarlierVersion(1, Old, lambda old: Text(text=old.password))]
        ),
    )
    await backend.store.insert([NewJob(id="j1", job_name="Echo", params='{"password": "hunter2!"}', spec_version=1)])
    await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    error = (await read(backend, "j1")).error or ""
    assert "is refused" in error
    assert "hunter2!" not in error


# --- its time --------------------------------------------------------------------------------------------------------

BRIEF = JobOptions(timeout=SOON)


async def test_an_async_handler_is_cancelled_when_its_time_is_up() -> None:
    gate = Gate()

    async def handler(params: Text, context: JobContext) -> Text:
        return await gate(params, context)  # the handler starts in a thread, on a busy machine after its time is up

    error = await failure_of(handler, BRIEF)
    assert error == "TimeoutError: the handler did not return within its timeout of 20ms"
    assert gate.cancelled == 1
    assert gate.contexts[0].cancelled


async def test_a_plain_handler_learns_that_its_time_is_up() -> None:
    seen = threading.Event()

    def handler(params: Text, context: JobContext) -> Text:
        while not context.cancelled:
            threading.Event().wait(0.001)
        seen.set()
        return params

    assert "within its timeout of" in await failure_of(handler, BRIEF)
    assert await asyncio.to_thread(seen.wait, 5)


async def test_a_timeout_inside_the_handler_is_its_own() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
        return params

    assert "within its timeout" not in await failure_of(handler, JobOptions(timeout=60 * SECOND))


async def test_a_handler_that_finishes_in_spite_of_its_timeout_has_finished() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Text(text="just made it")
        return params

    _, record = await attempt(text_job(handler, options=BRIEF))
    assert (record.status, record.result) == (JobStatus.COMPLETED, '{"text":"just made it"}')


async def test_a_handler_within_its_time_is_left_alone() -> None:
    result, _ = await attempt(text_job(echo, options=JobOptions(timeout=60 * SECOND)))
    assert result.success


# --- being stopped ---------------------------------------------------------------------------------------------------


async def test_a_released_attempt_does_not_count() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    job_id, task = await start(backend, job)
    assert await backend.release_lock(job_id)
    result = await task
    assert not result.success
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count, record.error) == (JobStatus.PENDING, 0, None)
    assert gate.cancelled == 1


async def test_an_error_raised_because_of_the_release_does_not_count_either() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection was closed under us")

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    job_id, task = await start(backend, job)
    await backend.release_lock(job_id)
    await task
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_an_error_raised_because_of_the_release_after_a_failed_task_group_does_not_cancel_the_caller() -> None:
    """Before Python 3.13, a failed group leaves its task as one that is being cancelled."""

    async def handler(params: Text, context: JobContext) -> Text:
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(failing_child())
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection was closed under us")

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    job_id, task = await start(backend, job)
    await turns()
    await backend.release_lock(job_id)
    assert not (await task).success
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_a_handler_that_finishes_in_spite_of_being_stopped_has_finished() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Text(text="just made it")
        return params

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    job_id, task = await start(backend, job)
    await backend.release_lock(job_id)
    assert (await task).success
    assert (await read(backend, job_id)).result == '{"text":"just made it"}'


async def test_a_caller_that_is_cancelled_gives_its_job_back() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    task = asyncio.create_task(job.now(PARAMS))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job_id = gate.contexts[0].job_id
    assert job_id is not None
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    assert backend.execution.runner.attempts() == []


async def test_a_caller_cancelled_while_its_job_is_being_stopped_is_cancelled() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    task = asyncio.create_task(job.now(PARAMS))
    await turns()
    await backend.release_lock(gate.contexts[0].job_id or "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await status_of(backend, gate.contexts[0].job_id or "") is JobStatus.PENDING


@pytest.mark.parametrize("swallows", [False, True])
async def test_stopping_a_job_does_not_cancel_the_code_that_ran_it(swallows: bool) -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallows:
                raise
        return params

    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    cancelling: list[int] = []

    async def caller() -> None:
        await job.now(PARAMS)
        async with asyncio.TaskGroup() as group:  # ends at once in a task that is being cancelled
            group.create_task(turns())
        task = asyncio.current_task()
        assert task is not None
        cancelling.append(task.cancelling())

    task = asyncio.create_task(caller())
    await turns()
    (running,) = backend.execution.runner.attempts()
    await backend.release_lock(running.claim.id)
    await task
    assert cancelling == [0]


async def outlived(
    handler: Callable[[Text, JobContext], Text], began: threading.Event
) -> tuple[PollingBackend, str, asyncio.Future[object]]:
    """Run a plain handler until it starts, and end its attempt. Return the backend, the job, and the running thread."""
    job = text_job(handler)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    task = asyncio.create_task(backend.execute(claim))
    await asyncio.to_thread(began.wait, 5)
    (attempt,) = backend.execution.runner.attempts()
    await backend.release_lock(job_id)
    await task
    assert attempt.call.lingering is not None
    return backend, job_id, attempt.call.lingering


async def test_a_plain_handler_may_outlive_its_attempt_and_its_result_is_dropped() -> None:
    began, go_on = threading.Event(), threading.Event()

    def handler(params: Text, context: JobContext) -> Text:
        began.set()
        go_on.wait(30)
        return Text(text=f"cancelled: {context.cancelled}")

    backend, job_id, lingering = await outlived(handler, began)
    record = await read(backend, job_id)
    go_on.set()
    assert await lingering == Text(text="cancelled: True")
    assert record == await read(backend, job_id)


async def test_an_error_of_a_plain_handler_that_outlives_its_attempt_makes_no_noise() -> None:
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    began, go_on = threading.Event(), threading.Event()

    def handler(params: Text, context: JobContext) -> Text:
        began.set()
        go_on.wait(30)
        raise RuntimeError("too late")

    _, _, lingering = await outlived(handler, began)
    go_on.set()
    with pytest.raises(RuntimeError, match="too late"):
        await lingering
    assert noise == []


def test_a_call_that_ends_after_its_event_loop_does_no_harm() -> None:
    go_on, is_over = threading.Event(), threading.Event()

    def call() -> None:
        go_on.wait(30)
        is_over.set()

    async def begin() -> None:
        in_thread(call)

    async def again() -> object:
        return await in_thread(lambda: "again")

    asyncio.run(begin())
    go_on.set()
    assert is_over.wait(30)
    assert asyncio.run(again()) == "again"


async def test_a_thread_runs_one_plain_handler_after_the_other() -> None:
    threads = {await in_thread(threading.get_ident) for _ in range(50)}

    assert len(threads) < 50


async def test_many_plain_handlers_that_hang_do_not_keep_others_from_starting() -> None:
    go_on = threading.Event()

    def hangs(params: Text, context: JobContext) -> Text:
        go_on.wait(30)
        return params

    hanging, quick = text_job(hangs, "Hang", BRIEF), text_job(lambda params, context: params, "Quick")
    backend = backend_on(MemoryStore(), hanging, quick, max_concurrency=50)
    await hanging.later_many([PARAMS] * 40)
    results = await asyncio.gather(*map(backend.execute, (await backend.poll_and_claim()).claimed_jobs))
    assert not any(result.success for result in results)
    assert (await quick.now(PARAMS)).ok
    go_on.set()


async def test_duration_is_measured_on_the_clock_of_the_backend() -> None:
    clock, gate = FakeClock(), Gate()
    job = text_job(gate)
    backend = backend_on(None, job, clock=clock)
    _, task = await start(backend, job)
    clock.advance(90 * SECOND)
    gate.opened.set()
    await until(task)
    assert (await task).duration == 90 * SECOND
