"""Middleware surrounds every enqueue and every attempt, and changes neither by accident."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from server_jobs import (
    Cancel,
    DoNotRetryError,
    Enqueue,
    InvalidOptionError,
    InvalidParamsError,
    InvalidResultError,
    JobContext,
    JobOptions,
    JobRecord,
    JobRegistry,
    JobStatus,
    Middleware,
    Outcome,
    RetryAfterError,
    RunningAttempt,
    Schedule,
    SchemaMissingError,
    SetupError,
    Snooze,
    Worker,
    connect,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.binding import handler_backend
from server_jobs.definition import Handler
from server_jobs.domain.record import Inserted, NewJob
from server_jobs.engine.attempts.attempt import Stop
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.memory import InMemoryBackend
from server_jobs.middleware import LONGEST_HEADERS
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock
from sqlalchemy import create_engine

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import (
    SECOND,
    Gate,
    Text,
    TextJob,
    echo,
    fail,
    read,
    retried_at_once,
    text_job,
    turns,
    until,
)
from tests.runtime.processes import hooks
from tests.runtime.processes.handlers import Echo, OrderJob, Report, registry_of
from tests.server_jobs_http.caller import Caller

PARAMS = {"text": "hello"}

seen: ContextVar[str] = ContextVar("seen", default="nothing")


class Recorder(Middleware):
    """Records everything around it, and sets a context variable and a header."""

    def __init__(self, notes: list[str] | None = None, name: str = "") -> None:
        self.notes: list[str] = [] if notes is None else notes
        self.name = name
        self.enqueues: list[Enqueue] = []
        self.attempts: list[RunningAttempt] = []
        self.errors: list[BaseException] = []

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        self.enqueues.append(enqueue)
        enqueue.headers[f"from{self.name}"] = "recorder"
        self.notes.append(f"{self.name}enqueue")
        try:
            yield
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.notes.append(f"{self.name}enqueued")

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        assert attempt.outcome is None
        self.attempts.append(attempt)
        self.notes.append(f"{self.name}begin")
        token = seen.set(f"{self.name}{attempt.job_name}")
        try:
            yield
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            seen.reset(token)
            self.notes.append(f"{self.name}end {attempt.outcome}")


class Suppressing(Middleware):
    """Tries to suppress every error."""

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        with suppress(BaseException):
            yield

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        with suppress(BaseException):
            yield


class Broken(Middleware):
    """Raises an error before or after the handler, or after its failure."""

    def __init__(self, error: BaseException, when: str) -> None:
        self._error = error
        self._when = when

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        if self._when == "before":
            raise self._error
        try:
            yield
        except ValueError as error:
            if self._when == "instead":
                raise self._error from error
            raise
        if self._when == "after":
            raise self._error


class BrokenEnqueue(Middleware):
    """Raises an error before or after the write."""

    def __init__(self, when: str) -> None:
        self._when = when

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        if self._when == "before":
            raise ConnectionError("no collector")
        yield
        raise ConnectionError("no collector")


def memory(job: TextJob, *middleware: Middleware, clock: FakeClock | None = None) -> InMemoryBackend:
    """Return a backend with this job bound to it."""
    registry = create_job_registry().register(job).use(*middleware)
    backend = InMemoryBackend(job_registry=registry, clock=clock)
    registry.bind(backend)
    return backend


async def attempt(handler: Handler[Text, Text], *middleware: Middleware, options: JobOptions | None = None) -> str:
    """Run one attempt of a job with this handler. Return the outcome, the status and the error."""
    job = text_job(handler, options=options or retried_at_once())
    backend = memory(job, *middleware)
    job_id = await job.later(PARAMS)
    result = await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
    record = await read(backend, job_id)
    return f"{result.outcome} {record.status}: {record.error}"


# --- around an enqueue -----------------------------------------------------------------------------------------------


async def test_each_call_that_stores_jobs_is_surrounded_once() -> None:
    recorder = Recorder()
    job = text_job(echo)
    backend = memory(job, recorder)

    ids = [
        await job.later(PARAMS),
        *await job.later_many([PARAMS, PARAMS]),
        backend.add_job(job_name="Echo", params=PARAMS),
    ]
    ids.append(await asyncio.to_thread(job.later_sync, PARAMS))
    outcome = await job.now(PARAMS, correlation_id="request 5")

    assert [one.count for one in recorder.enqueues] == [1, 2, 1, 1, 1]
    assert [found for one in recorder.enqueues[:4] for found in one.job_ids] == ids
    last = recorder.enqueues[-1]
    assert (last.job_name, last.queue, last.correlation_id) == ("Echo", "default", "request 5")
    assert last.job_ids == (outcome.metadata.job_id,)
    assert recorder.notes[-4:] == ["enqueue", "enqueued", "begin", "end completed"]


async def test_a_job_enqueued_by_a_handler_is_surrounded_within_the_attempt() -> None:
    recorder = Recorder()
    child = text_job(echo, "Child")

    async def enqueue(params: Text, context: JobContext) -> Text:
        await child.later(params)
        return params

    job = text_job(enqueue)
    backend = memory(job, recorder)
    backend.registry.register(child)
    await job.later(PARAMS)
    await tick(backend)

    assert [one.job_name for one in recorder.enqueues] == ["Echo", "Child"]
    assert recorder.notes[2:6] == ["begin", "enqueue", "enqueued", "end completed"]


async def test_a_schedule_enqueues_within_middleware() -> None:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    recorder = Recorder()
    job = define_job(
        name="Echo",
        params=Text,
        result=Text,
        handler=echo,
        schedules=(Schedule(name="hourly", cron="0 * * * *", params='{"text":"x"}'),),
    )
    backend = memory(job, recorder, clock=clock)
    await tick(backend)
    assert recorder.enqueues == []
    clock.advance(timedelta(hours=1))
    await tick(backend)
    assert [(one.job_name, one.count) for one in recorder.enqueues] == [("Echo", 1)]


async def test_a_schedule_whose_middleware_fails_is_reported_and_others_still_fire(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))

    class FailsForOne(Middleware):
        @contextmanager
        def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
            if enqueue.job_name == "Echo":
                raise ConnectionError("no collector")
            yield

    schedules = (Schedule(name="hourly", cron="0 * * * *", params='{"text":"x"}'),)
    jobs = [
        define_job(name=name, params=Text, result=Text, handler=echo, schedules=schedules) for name in ("Echo", "Other")
    ]
    registry = create_job_registry().register(jobs[0]).register(jobs[1]).use(FailsForOne())
    backend = InMemoryBackend(job_registry=registry, clock=clock)
    await tick(backend)
    clock.advance(timedelta(hours=1))
    result = await tick(backend)
    assert (result.scheduled, result.unfired) == (1, 1)
    assert "schedule hourly of Echo cannot fire: ConnectionError('no collector')" in caplog.text


async def test_a_job_enqueued_by_a_request_is_surrounded() -> None:
    recorder = Recorder()
    backend = memory(text_job(echo), recorder)
    answer = await Caller(backend)("POST", "/jobs/Echo", {"params": PARAMS})
    assert answer.status_code == 201, answer.text
    assert [one.count for one in recorder.enqueues] == [1]


def test_later_in_is_surrounded_inside_the_transaction(tmp_path: Path) -> None:
    recorder = Recorder()
    job = text_job(echo)
    registry = create_job_registry().register(job).use(recorder)
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    with create_engine(f"sqlite:///{tmp_path}/jobs.sqlite3").begin() as connection:
        handle = job.later_in(connection, PARAMS)
        assert recorder.notes == ["enqueue", "enqueued"]
    assert recorder.enqueues[0].job_ids == (handle,)
    assert not registry.hooks.is_empty


async def test_params_that_do_not_fit_are_refused_before_middleware() -> None:
    recorder = Recorder()
    job = text_job(echo)
    memory(job, recorder)
    with pytest.raises(InvalidParamsError):
        await job.later({"text": 5})
    assert recorder.enqueues == []


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
async def test_an_enqueue_raises_the_error_of_its_middleware(when: str, stored: int) -> None:
    job = text_job(echo)
    outer = Recorder()
    backend = memory(job, outer, BrokenEnqueue(when))
    with pytest.raises(ConnectionError, match="no collector"):
        await job.later(PARAMS)
    assert await backend.store.count_due(backend.execution.request(limit=1)) == stored
    assert [type(error) for error in outer.errors] == [ConnectionError]


async def test_middleware_cannot_suppress_an_error_of_the_store() -> None:
    class Failing(MemoryStore):
        async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
            raise OSError("disk full")

    job, outer = text_job(echo), Recorder()
    registry = create_job_registry().register(job).use(outer, Suppressing())
    registry.bind(PollingBackend(database=Failing(), job_registry=registry))
    with pytest.raises(OSError, match="disk full"):
        await job.later(PARAMS)
    assert [type(error) for error in outer.errors] == [OSError]


async def test_jobs_of_several_names_in_one_insert_are_several_calls() -> None:
    recorder = Recorder()
    job, other = text_job(echo), text_job(echo, "Other")
    backend = memory(job, recorder)
    backend.registry.register(other)
    await backend.insert([job.new_job(PARAMS), other.new_job(PARAMS), job.new_job(PARAMS)])
    assert [(one.job_name, one.count) for one in recorder.enqueues] == [("Echo", 2), ("Other", 1)]


# --- around an attempt -----------------------------------------------------------------------------------------------


async def test_the_first_middleware_is_the_outermost() -> None:
    notes: list[str] = []
    assert await attempt(echo, Recorder(notes, "a "), Recorder(notes, "b ")) == "completed completed: None"
    assert notes == [
        *("a enqueue", "b enqueue", "b enqueued", "a enqueued"),
        *("a begin", "b begin", "b end completed", "a end completed"),
    ]


async def test_middleware_knows_the_attempt() -> None:
    recorder = Recorder()
    job = text_job(fail, options=retried_at_once(2))
    backend = memory(job, recorder)
    job_id = await job.later(PARAMS, correlation_id="request 5")
    await Worker(backend, until_empty=True).run()
    first, last = recorder.attempts
    assert (first.job_name, first.job_id, first.attempt, first.max_attempts) == ("Echo", job_id, 1, 2)
    assert (first.queue, first.correlation_id, first.is_last, last.is_last) == ("default", "request 5", False, True)
    assert (first.outcome, last.outcome) == (Outcome.FAILED, Outcome.FAILED)
    with pytest.raises(AttributeError):
        first.outcome = Outcome.COMPLETED  # type: ignore[misc]


async def test_headers_of_the_enqueue_are_read_only_in_each_attempt() -> None:
    recorder = Recorder()
    job = text_job(fail, options=retried_at_once(2))
    backend = memory(job, recorder)
    await job.later(PARAMS)
    await Worker(backend, until_empty=True).run()
    assert [dict(one.headers) for one in recorder.attempts] == [{"from": "recorder"}] * 2
    with pytest.raises(TypeError):
        recorder.attempts[0].headers["more"] = "x"  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 5}', "[" * 100_000])
async def test_headers_that_middleware_did_not_write_are_ignored(text: str) -> None:
    recorder = Recorder()
    job = text_job(echo)
    backend = memory(job, recorder)
    await backend.store.insert([job.new_job(PARAMS)._replace(headers=text)])
    await tick(backend)
    assert dict(recorder.attempts[0].headers) == {}
    assert recorder.attempts[0].outcome is Outcome.COMPLETED


def snooze(params: Text, context: JobContext) -> Snooze:
    return Snooze(SECOND)


def cancel(params: Text, context: JobContext) -> Cancel:
    return Cancel("not needed")


def misfit(params: Text, context: JobContext) -> object:
    return {"text": 5}


@pytest.mark.parametrize(
    ("handler", "outcome", "error"),
    [
        (echo, Outcome.COMPLETED, None),
        (fail, Outcome.FAILED, ValueError),
        (snooze, Outcome.SNOOZED, None),
        (cancel, Outcome.CANCELLED, None),
        (misfit, Outcome.FAILED, InvalidResultError),
    ],
)
async def test_middleware_sees_the_outcome_and_the_error(
    handler: Handler[Text, Text], outcome: Outcome, error: type[Exception] | None
) -> None:
    recorder = Recorder()
    assert (await attempt(handler, recorder)).startswith(outcome)
    assert recorder.attempts[0].outcome is outcome
    assert [type(one) for one in recorder.errors] == ([] if error is None else [error])


async def test_a_run_that_is_not_stored_is_surrounded_too() -> None:
    recorder = Recorder()
    job = text_job(fail)
    backend = memory(job, recorder)
    assert (await job.now(PARAMS, persist=False)).error is not None
    backend.registry.bind(None)
    assert (await job.now(PARAMS, persist=False, correlation_id="request 5")).error is not None
    assert [one.job_id for one in recorder.attempts] == [None, None]
    assert [one.outcome for one in recorder.attempts] == [Outcome.FAILED, Outcome.FAILED]
    assert [one.correlation_id for one in recorder.attempts] == [None, "request 5"]
    assert recorder.enqueues == []


async def test_handlers_see_context_variables_of_middleware() -> None:
    async def in_loop(params: Text, context: JobContext) -> Text:
        return Text(text=seen.get())

    def in_thread(params: Text, context: JobContext) -> Text:
        return Text(text=seen.get())

    for handler in (in_loop, in_thread):
        job = text_job(handler)
        memory(job, Recorder(), Recorder(name="inner "))
        assert (await job.now(PARAMS)).data.text == "inner Echo"
    assert seen.get() == "nothing"


class ByThread(Middleware):
    """Notes the thread of each plain handler, and raises an error after it if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.threads: list[int] = []
        self._error = error

    @contextmanager
    def around_plain_handler(self, attempt: RunningAttempt) -> Iterator[None]:
        self.threads.append(threading.get_ident())
        yield
        if self._error is not None:
            raise self._error


async def test_middleware_surrounds_a_plain_handler_in_its_thread() -> None:
    by_thread = ByThread()

    def handler(params: Text, context: JobContext) -> Text:
        return Text(text=str(threading.get_ident()))

    job = text_job(handler)
    memory(job, by_thread)
    found = [int((await job.now(PARAMS, persist=persist)).data.text) for persist in (True, False)]
    assert by_thread.threads == found
    assert threading.get_ident() not in found


async def test_only_plain_handlers_have_a_thread_to_surround() -> None:
    by_thread = ByThread()
    job = text_job(echo)
    memory(job, by_thread)
    assert (await job.now(PARAMS)).ok
    assert by_thread.threads == []


async def test_an_error_in_the_thread_of_a_plain_handler_fails_the_attempt() -> None:
    told = await attempt(lambda params, context: params, ByThread(ConnectionError("the connection broke")))
    assert told.startswith("failed pending: ConnectionError: the connection broke")


async def test_middleware_chooses_the_backend_of_calls_in_a_handler() -> None:
    other = InMemoryBackend(job_registry=create_job_registry())

    class Elsewhere(Middleware):
        @asynccontextmanager
        async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
            token = handler_backend.set(other)
            try:
                yield
            finally:
                handler_backend.reset(token)

    inner = text_job(echo, "Inner")

    async def handler(params: Text, context: JobContext) -> Text:
        return Text(text=await inner.later(PARAMS))

    job = text_job(handler)
    here = memory(job, Elsewhere())
    job_id = (await job.now(PARAMS)).data.text
    assert await other.store.get(job_id) is not None
    assert await here.store.get(job_id) is None


@pytest.mark.parametrize("when", ["before", "after", "instead"])
async def test_an_error_of_middleware_fails_the_attempt_with_its_place(when: str) -> None:
    outer = Recorder()
    handler = fail if when == "instead" else echo
    told = await attempt(handler, outer, Broken(ConnectionError("no collector"), when))
    assert told.startswith("failed pending: ConnectionError: no collector (at runtime/test_middleware.py:")
    assert outer.attempts[0].outcome is Outcome.FAILED
    assert [type(error) for error in outer.errors] == [ConnectionError]


async def test_middleware_may_decide_about_the_retry() -> None:
    assert (await attempt(echo, Broken(DoNotRetryError("closed"), "before"))).startswith("failed failed: ")
    assert (await attempt(echo, Broken(RetryAfterError(SECOND), "before"))).startswith("failed pending: ")


async def test_middleware_cannot_suppress_an_error_of_the_handler() -> None:
    outer = Recorder()
    told = await attempt(fail, outer, Suppressing())
    assert told.startswith("failed pending: ValueError: no good: hello")
    assert [type(error) for error in outer.errors] == [ValueError]


async def test_middleware_that_awaits_something_cancelled_fails_the_attempt() -> None:
    told = await attempt(echo, Broken(asyncio.CancelledError(), "before"))
    assert told.startswith("failed pending: RuntimeError: the middleware awaited something that was cancelled")
    told = await attempt(echo, Broken(asyncio.CancelledError(), "after"))
    assert told.startswith("failed pending: RuntimeError: the middleware awaited something that was cancelled")


async def test_a_timeout_passes_through_middleware_as_such() -> None:
    recorder = Recorder()
    gate = Gate()
    options = JobOptions(timeout=timedelta(milliseconds=10))
    told = await attempt(gate, recorder, options=options)
    assert told.startswith("timed out pending: TimeoutError: the handler did not return within its timeout")
    assert gate.cancelled == 1
    assert recorder.attempts[0].outcome is Outcome.TIMED_OUT
    assert [type(error) for error in recorder.errors] == [TimeoutError]


@pytest.mark.parametrize(
    ("reason", "outcome", "status"),
    [
        (Stop.CANCELLED, Outcome.CANCELLED, JobStatus.RUNNING),
        (Stop.SHUTDOWN, Outcome.RELEASED, JobStatus.PENDING),
        (Stop.LOST, Outcome.LOST, JobStatus.RUNNING),
    ],
)
async def test_a_stopped_attempt_ends_within_middleware(reason: Stop, outcome: Outcome, status: JobStatus) -> None:
    recorder, gate = Recorder(), Gate()
    job = text_job(gate)
    backend = memory(job, recorder)
    await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    running = asyncio.create_task(backend.execute(claim))
    await turns()
    (one,) = backend.execution.runner.attempts()
    one.stop(reason)
    await until(running)
    assert recorder.attempts[0].outcome is outcome
    assert [type(error) for error in recorder.errors] == [asyncio.CancelledError]
    assert gate.cancelled == 1
    if reason is not Stop.CANCELLED:
        assert (await read(backend, claim.id)).status is status


async def test_a_cancelled_caller_releases_the_job_and_middleware_ends_first() -> None:
    recorder, gate = Recorder(), Gate()
    job = text_job(gate)
    backend = memory(job, recorder)
    job_id = await job.later(PARAMS)
    running = asyncio.create_task(job.execute_from_database(job_id))
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert recorder.attempts[0].outcome is Outcome.RELEASED
    assert (await read(backend, job_id)).status is JobStatus.PENDING


async def test_a_job_that_is_stopped_while_middleware_begins_is_not_called() -> None:
    began, may_go_on, calls = asyncio.Event(), asyncio.Event(), list[str]()

    class Slow(Middleware):
        @asynccontextmanager
        async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
            began.set()
            await may_go_on.wait()
            yield

    async def handler(params: Text, context: JobContext) -> Text:
        calls.append("called")
        return params

    job = text_job(handler)
    backend = memory(job, Slow())
    job_id = await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    running = asyncio.create_task(backend.execute(claim))
    await until(began)
    await backend.release_lock(claim.id)
    may_go_on.set()
    assert (await running).outcome is Outcome.RELEASED
    assert calls == []
    assert (await read(backend, job_id)).status is JobStatus.PENDING


async def test_a_parked_job_has_no_attempt() -> None:
    recorder = Recorder()
    job = text_job(echo)
    backend = memory(job, recorder)
    await backend.insert([job.new_job(PARAMS)._replace(params='{"text":5}')])
    await tick(backend)
    assert recorder.attempts == []


# --- in handler processes --------------------------------------------------------------------------------------------


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PollingBackend:
    """Return a backend on a new file. Its hooks write notes."""
    monkeypatch.setenv(hooks.NOTES, str(tmp_path / "notes"))
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    registry = registry_of(hooks.Look, hooks.LookPlainly, hooks.EnqueueEcho, hooks.Fail, hooks.Misfit, hooks.Wait)
    registry.register(hooks.Late).register(hooks.Secret).register(hooks.RunLook).register(Echo)
    registry.set_up(hooks.set_up)
    return PollingBackend(database=f"sqlite:///{tmp_path}/jobs.sqlite3", job_registry=registry)


async def run_there(backend: PollingBackend, job: OrderJob, text: str = "") -> tuple[JobRecord, list[str]]:
    """Run a job in its own process. Return its row, and the notes of the middleware there."""
    handle = await job.using(backend).later({"text": text})
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    await backend.execute(claim)
    return await read(backend, handle), [text for pid, text in hooks.notes() if pid != os.getpid()]


@pytest.mark.parametrize("job", [hooks.Look, hooks.LookPlainly])
async def test_the_process_of_a_handler_has_the_same_middleware(backend: PollingBackend, job: OrderJob) -> None:
    record, notes = await run_there(backend, job)
    report = Report.model_validate_json(record.result or "")
    assert (report.text, report.more["mailer"]) == (job.job_name, report.pid)
    plain = ["plain in MainThread"] if job is hooks.LookPlainly else []
    assert notes == ["open", f"begin {job.job_name} 1/3 {{'enqueued-in': 'nothing'}}", *plain, "end completed"]
    await backend.shutdown()
    assert [text for pid, text in hooks.notes() if pid == report.pid][-1] == "close"
    assert [text for pid, text in hooks.notes() if pid == os.getpid()] == [f"enqueue {job.job_name}", "open", "close"]


async def test_a_handler_in_a_process_enqueues_within_middleware(backend: PollingBackend) -> None:
    _, notes = await run_there(backend, hooks.EnqueueEcho)
    assert notes[2:] == ["enqueue Echo", "end completed"]
    await tick(backend)
    assert hooks.notes()[-2][1] == "begin Echo 1/3 {'enqueued-in': 'EnqueueEcho'}"
    await backend.shutdown()


async def test_a_job_that_a_handler_runs_in_its_process_has_the_same_resources(backend: PollingBackend) -> None:
    record, notes = await run_there(backend, hooks.RunLook)
    report = Report.model_validate_json(record.result or "")
    assert report.more["mailer"] == report.pid
    assert notes.count("open") == 1
    assert notes.count("end completed") == 2
    await backend.shutdown()


@pytest.mark.parametrize(
    ("job", "error"), [(hooks.Fail, "ValueError"), (hooks.Misfit, "InvalidResultError")], ids=["raised", "misfit"]
)
async def test_middleware_in_a_process_sees_the_error(backend: PollingBackend, job: OrderJob, error: str) -> None:
    record, notes = await run_there(backend, job)
    assert notes[2:] == [f"error {error}", "end failed"]
    assert (record.error or "").startswith(error)
    await backend.shutdown()


async def test_middleware_in_a_process_can_mask_redacted_params(backend: PollingBackend) -> None:
    record, notes = await run_there(backend, hooks.Secret, "my-secret")
    assert notes[2:] == ["error ValueError", "no good: •••", "end failed"]
    assert "my-secret" not in (record.error or "")
    await backend.shutdown()


async def test_a_timeout_in_a_process_passes_through_middleware(backend: PollingBackend) -> None:
    record, notes = await run_there(backend, hooks.Late)
    assert notes[2:] == ["waiting", "error CancelledError", "end timed out", "close"]
    assert (record.error or "").startswith("TimeoutError")
    await backend.shutdown()


async def test_an_attempt_released_in_a_process_passes_through_middleware(backend: PollingBackend) -> None:
    await hooks.Wait.using(backend).later({})
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    running = asyncio.create_task(backend.execute(claim))
    async with asyncio.timeout(30):
        while "waiting" not in [text for _, text in hooks.notes()]:
            await asyncio.sleep(0.01)
    await backend.release_lock(claim.id)
    assert (await running).outcome is Outcome.RELEASED
    notes = [text for pid, text in hooks.notes() if pid != os.getpid()]
    assert notes[-3:] == ["error CancelledError", "end released", "close"]
    await backend.shutdown()


def test_processes_refuse_middleware_that_they_cannot_have(backend: PollingBackend) -> None:
    backend.registry.use(Recorder())
    with pytest.raises(InvalidOptionError, match=r"call registry\.set_up\(function\)"):
        backend.execution.check_handlers()


def test_processes_refuse_a_set_up_function_that_they_cannot_import() -> None:
    registry = registry_of(hooks.Look)
    registry.set_up(lambda jobs: None)
    with pytest.raises(InvalidOptionError, match="the set-up function of the registry cannot run in its own process"):
        PollingBackend(database="sqlite://", job_registry=registry).execution.check_handlers()


# --- where middleware is stated --------------------------------------------------------------------------------------


async def test_set_up_runs_once_at_the_first_use() -> None:
    calls: list[JobRegistry] = []
    recorder = Recorder()
    job = text_job(echo)
    registry = create_job_registry().register(job)

    @registry.set_up
    def set_up(jobs: JobRegistry) -> None:
        calls.append(jobs)
        jobs.use(recorder)

    registry.bind(InMemoryBackend(job_registry=registry))
    assert calls == []
    await job.later(PARAMS)
    await job.later(PARAMS)
    assert calls == [registry]
    assert len(recorder.enqueues) == 2


async def test_a_set_up_function_may_add_another_one() -> None:
    calls: list[str] = []

    def inner(jobs: JobRegistry) -> None:
        calls.append("inner")

    def outer(jobs: JobRegistry) -> None:
        jobs.set_up(inner)
        calls.append("outer")

    registry = create_job_registry()
    registry.set_up(outer)
    assert registry.hooks.middleware == ()
    assert calls == ["outer", "inner"]
    assert registry.hooks.set_ups == (outer,)


def test_a_set_up_function_that_is_not_plain_is_refused() -> None:
    async def waiting(jobs: JobRegistry) -> None:
        pass

    def yielding(jobs: JobRegistry) -> Iterator[None]:
        yield

    for function in (waiting, yielding):
        with pytest.raises(InvalidOptionError, match=f"{function.__name__} must be a plain function"):
            create_job_registry().set_up(function)


async def test_connect_sets_up_before_the_first_enqueue(tmp_path: Path) -> None:
    calls: list[JobRegistry] = []
    registry = create_job_registry().register(text_job(echo))
    registry.set_up(calls.append)
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"

    with pytest.raises(SchemaMissingError):
        async with connect(registry, url):
            pass
    assert calls == [registry]


async def test_a_failed_set_up_is_an_error_of_its_own_and_is_tried_again() -> None:
    results: list[Callable[[], Middleware]] = [lambda: 1 / 0, Recorder]  # type: ignore[list-item,return-value]
    extra = Recorder()
    job = text_job(echo)
    registry = create_job_registry().register(job)

    @registry.set_up
    def set_up(jobs: JobRegistry) -> None:
        jobs.use(extra)
        jobs.use(results.pop(0)())

    registry.bind(InMemoryBackend(job_registry=registry))
    with pytest.raises(SetupError, match="the set-up function of the registry failed: ZeroDivisionError"):
        await job.later(PARAMS)
    await job.later(PARAMS)
    assert len(extra.enqueues) == 1


def test_an_object_that_is_no_middleware_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="not the class Recorder; add \\(\\)"):
        create_job_registry().use(Recorder)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="around_attempt, around_plain_handler, not be of type int"):
        create_job_registry().use(5)  # type: ignore[arg-type]


def test_middleware_without_the_decorator_of_a_context_manager_is_refused() -> None:
    class Enqueuing(Middleware):
        def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:  # type: ignore[override]
            yield

    class Attempting(Middleware):
        async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:  # type: ignore[override]
            yield

    class Awaiting(Middleware):
        async def around_attempt(self, attempt: RunningAttempt) -> None:  # type: ignore[override]
            pass

    with pytest.raises(InvalidOptionError, match="around_enqueue must return a context manager; add @contextmanager"):
        create_job_registry().use(Enqueuing())
    for wrong in (Attempting(), Awaiting()):
        with pytest.raises(InvalidOptionError, match=r"around_attempt must .* add @asynccontextmanager"):
            create_job_registry().use(wrong)


@pytest.mark.parametrize(
    ("headers", "message"),
    [({"a": 5}, "must be texts, not \\('a', 5\\)"), ({"a": "x" * LONGEST_HEADERS}, "at most 8192 characters long")],
)
async def test_headers_are_short_texts(headers: dict[str, str], message: str) -> None:
    class Filling(Middleware):
        @contextmanager
        def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
            enqueue.headers.update(headers)
            yield

    job = text_job(echo)
    backend = memory(job, Filling())
    with pytest.raises(InvalidOptionError, match=message):
        await job.later(PARAMS)
    assert await backend.store.count_due(backend.execution.request(limit=1)) == 0
