"""The calls of a job class beyond those of the original's README: options, unique keys, backends, correlation."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr, field_serializer
from server_jobs import (
    Backoff,
    Cancellation,
    DatabaseError,
    DuplicateJobError,
    InvalidOptionError,
    InvalidParamsError,
    InvalidResultError,
    JobContext,
    JobFailedError,
    JobNotFoundError,
    JobNotOfferedError,
    JobOptions,
    JobResult,
    JobRetiredError,
    JobStatus,
    JobUnavailableError,
    OnConflict,
    RetryPolicy,
    Schedule,
    Worker,
    connect,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.domain.enqueue_options import EnqueueOptions
from server_jobs.domain.record import JobQuery, NewJob
from server_jobs.engine.backend import Backend
from server_jobs.handle import JobHandle
from server_jobs.stores.memory import MemoryStore
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
    status_of,
    text_job,
    turns,
)

PARAMS = {"text": "hello"}
START = datetime(2026, 1, 1, tzinfo=UTC)
WEST = timezone(-timedelta(hours=5))


# --- later -----------------------------------------------------------------------------------------------------------


async def test_a_job_is_queued_as_its_options_say() -> None:
    job = text_job(echo, options=JobOptions(version=4, queue="mail", priority=5, max_attempts=9))
    backend = backend_on(None, job, clock=FakeClock(START))
    record = await read(backend, await job.later(PARAMS))
    assert (record.spec_version, record.queue, record.priority, record.max_attempts) == (4, "mail", 5, 9)
    assert (record.scheduled_for, record.created_at) == (START, START)


async def test_one_job_may_be_queued_otherwise() -> None:
    job = text_job(echo, options=JobOptions(priority=5, max_attempts=9))
    backend = backend_on(None, job, clock=FakeClock(START))
    record = await read(backend, await job.later(PARAMS, priority=0, max_attempts=1, delay=30 * SECOND))
    assert (record.priority, record.max_attempts, record.scheduled_for) == (0, 1, START + 30 * SECOND)
    due = datetime(2030, 1, 1, tzinfo=UTC)
    assert (await read(backend, await job.later(PARAMS, scheduled_for=due))).scheduled_for == due


async def test_a_job_expires_as_its_options_or_its_call_say() -> None:
    job = text_job(echo, options=JobOptions(expires_after=60 * SECOND))
    backend = backend_on(None, job, clock=FakeClock(START))
    handles = [await job.later(PARAMS, delay=SECOND), await job.later(PARAMS, expires_after=2 * SECOND)]
    found = [(await read(backend, handle)).start_before for handle in handles]
    assert found == [START + 61 * SECOND, START + 2 * SECOND]


async def test_calls_in_quick_succession_become_one_run_with_the_last_params() -> None:
    clock = FakeClock(START)
    gate = Gate()
    job = text_job(gate, options=JobOptions(unique_by=(), on_conflict=OnConflict.RESCHEDULE))
    backend = backend_on(None, job, clock=clock)
    first = await job.later({"text": "1"}, delay=SECOND)
    clock.advance(SECOND / 2)

    again = await job.later_many([{"text": "2"}, {"text": "3"}], delay=SECOND)

    record = await read(backend, first)
    assert list(again) == [first, first]
    assert [handle.created for handle in (first, *again)] == [True, False, False]
    assert (record.params, record.scheduled_for) == ('{"text":"3"}', START + 1.5 * SECOND)
    (kept,) = await job.later_many([{"text": "4"}], on_conflict="keep")
    assert (kept, (await read(backend, first)).params) == (first, '{"text":"3"}')


async def test_a_job_that_replaces_a_running_one_runs_after_it_with_its_own_result() -> None:
    job = text_job(gate := Gate())
    backend = backend_on(None, job)
    options = EnqueueOptions(unique_key="k", on_conflict="replace")
    first = await job.later({"text": "1"}, **options)
    working = asyncio.create_task(Worker(backend, until_empty=True).run())
    while not gate.contexts:
        await asyncio.sleep(0)
    second = await job.later({"text": "2"}, **options)
    assert second.created
    await turns()
    assert len(gate.contexts) == 1

    gate.opened.set()
    await asyncio.wait_for(working, 30)

    assert [(await handle.result()).data.text for handle in (first, second)] == ["1", "2"]


async def test_a_caller_who_waits_for_an_expired_job_learns_why_it_never_ran() -> None:
    clock = FakeClock(START)
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(None, job, clock=clock)
    handle = await job.later(PARAMS, expires_after=SECOND)
    clock.advance(2 * SECOND)
    with pytest.raises(JobUnavailableError, match="expired: it had to start by 2026-01-01 00:00:01 UTC"):
        await job.execute_from_database(handle)

    await Worker(backend, until_empty=True).run()

    result = await handle.result()
    assert (result.metadata.status, result.ok) == (JobStatus.CANCELLED, False)
    assert result.error == "expired: it had to start by 2026-01-01 00:00:01 UTC"
    assert gate.contexts == []


async def test_a_run_of_now_starts_at_once_and_its_retries_expire() -> None:
    clock = FakeClock(START)
    job = text_job(fail, options=JobOptions(expires_after=SECOND))
    backend = backend_on(None, job, clock=clock)

    result = await job.now(PARAMS)

    assert (result.metadata.status, result.metadata.attempt_count) == (JobStatus.PENDING, 1)
    clock.advance(timedelta(hours=1))
    await Worker(backend, until_empty=True).run()
    assert await status_of(backend, result.metadata.job_id or "") is JobStatus.CANCELLED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priority": 101}, "priority must be between -100 and 100, not 101"),
        ({"priority": -101}, "priority must be between -100 and 100, not -101"),
        ({"max_attempts": 0}, "max_attempts must be between 1 and 10000, not 0"),
        ({"delay": -SECOND}, "delay must not be negative, and is -1 day, 23:59:59"),
        ({"delay": SECOND, "scheduled_for": START}, "give either scheduled_for or delay, not both"),
        ({"scheduled_for": START.replace(tzinfo=None)}, "2026-01-01T00:00:00 has none; add tzinfo, such as UTC"),
        ({"max_attempt": 2}, "there is no option 'max_attempt'; did you mean 'max_attempts'?"),
        (
            {"colour": "red"},
            "there is no option 'colour'; there are correlation_id, delay, expires_after, max_attempts,",
        ),
        ({"priority": 1.5}, "priority must be a whole number between -100 and 100, not 1.5"),
        ({"priority": True}, "priority must be a whole number between -100 and 100, not True"),
        ({"max_attempts": "3"}, "max_attempts must be a whole number between 1 and 10000, not '3'"),
        ({"delay": 5}, "delay must be a timedelta, not 5"),
        ({"expires_after": 5}, "expires_after must be a timedelta, not 5"),
        ({"expires_after": 0 * SECOND}, "expires_after must be between 1 millisecond and 365000 days, not 0:00:00"),
        ({"on_conflict": "drop", "unique_key": "k"}, "on_conflict must be one of OnConflict.KEEP, OnConflict.REPLACE,"),
        ({"on_conflict": "replace"}, "on_conflict needs a unique key: pass unique_key, or state `unique` in the spec"),
        ({"delay": timedelta.max}, "delay must be at most 365000 days, and is 999999999 days, 23:59:59.999999"),
        ({"scheduled_for": "2020"}, "scheduled_for must be a datetime, not '2020'"),
        ({"scheduled_for": datetime.max.replace(tzinfo=WEST)}, "scheduled_for must be in the years 1 to 9999 of UTC"),
        ({"correlation_id": 5}, "correlation_id must be a str, not 5"),
        (
            {"correlation_id": "a\0"},
            "correlation_id must not contain NUL characters or lone surrogates, and is 'a\\x00'",
        ),
        ({"unique_key": "\ud800"}, "unique_key must not contain NUL characters or lone surrogates, and is '\\ud800'"),
        ({"unique_key": "k" * 501}, f"unique_key must have at most 500 characters, and '{'k' * 40}'… has 501"),
    ],
)
async def test_an_option_that_cannot_be_is_refused_and_nothing_is_stored(
    options: dict[str, object], message: str
) -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    for call in (job.later(PARAMS, **options), job.later_many([PARAMS], **options)):  # type: ignore[arg-type]  # on purpose
        with pytest.raises(InvalidOptionError) as caught:
            await call
        assert message in str(caught.value)
    assert await backend.store.count_jobs() == []


def test_a_moment_is_stored_in_utc_and_to_the_millisecond() -> None:
    moment = datetime(2026, 1, 1, 7, 0, 0, 123_999, WEST)
    scheduled_for = text_job(echo).new_job(PARAMS, scheduled_for=moment).scheduled_for
    assert repr(scheduled_for) == repr(datetime(2026, 1, 1, 12, 0, 0, 123_000, UTC))


async def test_params_that_do_not_fit_are_refused_and_nothing_is_stored() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    for call in (
        job.later({}),
        job.now({}),
        job.now({}, persist=False),
        job.now_many([PARAMS, {}]),
        job.later_many([{}]),
    ):
        with pytest.raises(InvalidParamsError, match=r"params of Echo do not fit its spec: (/\d)?/text: Field"):
            await call
    assert await backend.store.count_jobs() == []


async def test_params_are_validated_without_showing_redacted_values() -> None:
    job = text_job(echo, options=JobOptions(redact=("/text",)))
    backend_on(MemoryStore(), job)
    for call in (job.later({"text": ["hunter2"]}), job.now_many([{"text": ["hunter2"]}])):
        with pytest.raises(InvalidParamsError) as caught:
            await call
        assert "hunter2" not in str(caught.value)


async def test_many_jobs_are_stored_in_one_call_or_none_of_them() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    with pytest.raises(InvalidParamsError):
        await job.later_many([PARAMS, PARAMS, {"text": 1}])
    assert await backend.store.count_jobs() == []
    handles = await job.later_many([{"text": str(number)} for number in range(500)], priority=2)
    assert list(await job.later_many([])) == []
    assert len(set(handles)) == 500
    records = [await read(backend, handle) for handle in handles]
    assert [json.loads(record.params)["text"] for record in records] == [str(number) for number in range(500)]
    assert {record.priority for record in records} == {2}


# --- unique keys -----------------------------------------------------------------------------------------------------


async def test_of_jobs_with_the_same_unique_values_one_is_unfinished_at_a_time() -> None:
    job = text_job(echo, options=JobOptions(unique_by=("/text",)))
    backend = backend_on(MemoryStore(), job)
    first = await job.later(PARAMS)
    again, other = await job.later_many([PARAMS, {"text": "other"}])
    assert (first.created, again.created, other.created) == (True, False, True)
    assert again == first != other
    await tick(backend)
    assert (await job.later(PARAMS)).created


async def test_a_unique_key_of_ones_own_takes_the_place_of_the_options() -> None:
    job, other = text_job(echo, options=JobOptions(unique_by=("/text",))), text_job(echo, "Other")
    backend_on(MemoryStore(), job, other)
    first = await job.later(PARAMS, unique_key="invoice-7")
    assert await job.later({"text": "b"}, unique_key="invoice-7") == first
    assert (await job.later(PARAMS, unique_key="invoice-8")).created
    assert (await other.later(PARAMS, unique_key="invoice-7")).created


async def test_a_run_whose_unique_key_is_in_use_is_refused() -> None:
    job = text_job(echo, options=JobOptions(unique_by=("/text",)))
    backend_on(MemoryStore(), job)
    waiting = await job.later(PARAMS)
    with pytest.raises(DuplicateJobError, match=f"job {waiting}; wait until it has ended, or cancel it") as caught:
        await job.now(PARAMS)
    assert caught.value.job_id == waiting
    assert (await job.now({"text": "other"})).ok


# --- now and batch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("persist", [True, False])
async def test_a_failure_is_in_the_result_and_not_raised(persist: bool) -> None:
    job = text_job(fail)
    backend_on(MemoryStore(), job)
    result = await job.now(PARAMS, persist=persist)
    assert not result.ok
    assert result.error is not None
    assert result.error.startswith("ValueError: no good: hello (at ")
    assert result.metadata.status is (JobStatus.PENDING if persist else JobStatus.FAILED)
    with pytest.raises(JobFailedError, match="no good: hello") as caught:
        _ = result.data
    assert (caught.value.job_name, caught.value.job_id) == ("Echo", result.metadata.job_id)


async def test_a_run_that_failed_is_taken_over_by_a_worker_while_attempts_are_left() -> None:
    attempts: list[int] = []

    async def handler(params: Text, context: JobContext) -> Text:
        attempts.append(context.attempt)
        if context.attempt == 1:
            raise OSError("the network is away")
        return params

    job = text_job(handler, options=JobOptions(retry=RetryPolicy(backoff=Backoff.FIXED, initial=timedelta(0))))
    backend = backend_on(MemoryStore(), job)
    first = await job.now(PARAMS)
    assert first.metadata.status is JobStatus.PENDING
    await Worker(backend, until_empty=True).run()
    assert attempts == [1, 2]
    assert await status_of(backend, first.metadata.job_id or "") is JobStatus.COMPLETED


async def test_the_metadata_of_a_run_has_its_times() -> None:
    clock, gate = FakeClock(START), Gate()
    job = text_job(gate)
    backend_on(None, job, clock=clock)
    for persist in (True, False):
        task = asyncio.create_task(job.now(PARAMS, persist=persist))
        await turns()
        began = clock.now()
        clock.advance(7 * SECOND)
        gate.opened.set()
        metadata = (await task).metadata
        gate.opened.clear()
        assert (metadata.job_name, metadata.attempt_count, metadata.status) == ("Echo", 1, JobStatus.COMPLETED)
        assert metadata.enqueued_at == metadata.started_at == began
        assert metadata.completed_at == began + 7 * SECOND
        assert metadata.error is None


async def test_a_run_that_is_not_stored_needs_no_database() -> None:
    store, job = FaultyStore(), text_job(echo)
    store.break_down("settle", "claim", "renew", "expire")
    backend_on(store, job)
    assert (await job.now(PARAMS, persist=False)).data == Text(text="hello")
    assert sum(store.calls.values()) == 0


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()], ids=["exit", "cancelled"])
async def test_any_error_of_a_handler_is_the_outcome_of_an_unstored_run(error: BaseException) -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        raise error

    job = text_job(handler)
    backend_on(MemoryStore(), job)
    result = await job.now(PARAMS, persist=False)
    assert not result.ok


async def test_a_result_that_does_not_fit_fails_a_run_that_is_not_stored() -> None:
    def handler(params: Text, context: JobContext) -> Text:
        return Text.model_construct(text=7)

    job = text_job(handler)
    backend_on(MemoryStore(), job)
    result = await job.now(PARAMS, persist=False)
    assert result.error == (
        "InvalidResultError: result of Echo does not fit its spec: /text: Input should be a valid string, got 7"
    )


async def test_an_error_inside_now_many_stops_running_jobs_and_starts_no_more() -> None:
    started: list[str] = []

    async def handler(params: Text, context: JobContext) -> Text:
        started.append(params.text)
        await turns(5)
        return params

    job = text_job(handler, options=JobOptions(unique_by=("/text",)))
    backend = backend_on(MemoryStore(), job)
    with pytest.raises(DuplicateJobError):
        await job.now_many([{"text": "a"}, {"text": "a"}, {"text": "b"}, {"text": "c"}], concurrency=2)
    assert started == ["a"]
    assert backend.execution.runner.attempts() == []
    assert [record.status for record in await backend.store.list_jobs(JobQuery())] == [JobStatus.COMPLETED]


async def test_now_many_gives_its_jobs_back_when_it_is_cancelled() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    task = asyncio.create_task(job.now_many([PARAMS] * 5, concurrency=2))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.cancelled == 2
    records = await backend.store.list_jobs(JobQuery())
    assert [(record.status, record.attempt_count) for record in records] == [(JobStatus.PENDING, 0)] * 2


async def test_now_many_of_nothing_returns_nothing_and_runs_at_least_one_at_a_time() -> None:
    job = text_job(echo)
    backend_on(MemoryStore(), job)
    assert await job.now_many([]) == []
    with pytest.raises(InvalidOptionError, match="concurrency must be between 1 and 10000, not 0"):
        await job.now_many([PARAMS], concurrency=0)


# --- the handle ------------------------------------------------------------------------------------------------------


async def test_the_handle_is_the_id() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    handle = await job.later(PARAMS)
    record = await backend.store.get(handle)
    assert record is not None
    assert record.id == handle == str(handle)
    assert json.dumps({"id": handle}) == f'{{"id": "{record.id}"}}'
    assert isinstance(handle, JobHandle)
    assert await handle.record() == record


async def test_the_result_is_waited_for() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    handle = await job.later(PARAMS)
    with pytest.raises(TimeoutError):
        await handle.result(timeout=SOON)
    waiting: asyncio.Task[JobResult[Text]] = asyncio.create_task(handle.result())
    await tick(backend)
    assert (await asyncio.wait_for(waiting, 30)).data == Text(text="hello")


async def test_the_result_of_a_job_that_was_cancelled_or_failed_is_an_error() -> None:
    good, bad = text_job(echo, "Good"), text_job(fail, "Bad", JobOptions(max_attempts=1))
    backend = backend_on(MemoryStore(), good, bad)
    cancelled, failed = await good.later(PARAMS), await bad.later(PARAMS)
    assert await cancelled.cancel() is Cancellation.CANCELLED
    assert await cancelled.cancel() is Cancellation.FINISHED
    await tick(backend)
    assert (await cancelled.result()).metadata.status is JobStatus.CANCELLED
    with pytest.raises(JobFailedError, match=r"Good .* is cancelled: no error was recorded"):
        _ = (await cancelled.result()).data
    assert (await failed.result()).metadata.status is JobStatus.FAILED


async def test_a_handle_of_nothing_says_so() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    handle = await job.later(PARAMS)
    elsewhere = JobHandle.of(job, backend_on(MemoryStore()), (await backend.insert([job.new_job(PARAMS)]))[0])
    with pytest.raises(JobNotFoundError, match=f"there is no job with the id '{elsewhere}'"):
        await elsewhere.status()
    assert await handle.status() is JobStatus.PENDING


# --- which backend ---------------------------------------------------------------------------------------------------


async def test_one_process_may_use_two_backends() -> None:
    job = text_job(echo)
    first, second = backend_on(MemoryStore(), job), backend_on(MemoryStore(), job)
    in_second = await job.later(PARAMS)
    in_first = await job.using(first).later(PARAMS)
    assert await second.store.get(in_second) is not None
    assert await second.store.get(in_first) is None
    assert await in_first.status() is JobStatus.PENDING
    assert (await job.using(first).execute_from_database(in_first)).ok
    assert await job.using(first).now(PARAMS) is not None
    assert job.backend is second


async def chain_of(*, pinned: Backend | None = None) -> tuple[Backend, Backend]:
    """Run a job whose handler enqueues another. Return the backend of both, and the one that ran the first."""
    second = text_job(echo, "Second")

    async def handler(params: Text, context: JobContext) -> Text:
        await (second.using(pinned) if pinned else second).later(params)
        return params

    first = text_job(handler, "First")
    executing = backend_on(MemoryStore(), first, second)
    bound = backend_on(MemoryStore(), first, second)
    await first.using(executing).later(PARAMS, correlation_id="request-7")
    await tick(executing)
    return bound, executing


async def names_in(backend: Backend) -> list[str]:
    """Return the names of the jobs in a backend."""
    return sorted(record.job_name for record in await backend.store.list_jobs(JobQuery()))


async def test_a_job_enqueued_by_a_handler_is_stored_in_the_handlers_backend() -> None:
    bound, executing = await chain_of()
    assert await names_in(bound) == []
    assert await names_in(executing) == ["First", "Second"]


async def test_unless_it_is_pinned_to_another_one() -> None:
    third = backend_on(MemoryStore())
    bound, executing = await chain_of(pinned=third)
    assert (await names_in(bound), await names_in(executing), await names_in(third)) == ([], ["First"], ["Second"])


async def test_a_job_enqueued_by_a_handler_inherits_its_correlation_id() -> None:
    _, executing = await chain_of()
    assert {record.correlation_id for record in await executing.store.list_jobs(JobQuery())} == {"request-7"}


@pytest.mark.parametrize("persist", [True, False])
async def test_runs_and_plain_handlers_pass_the_correlation_id_on_too(persist: bool) -> None:
    seen: list[str | None] = []

    def inner(params: Text, context: JobContext) -> Text:
        seen.append(context.correlation_id)
        seen.append(second.new_job(PARAMS).correlation_id)
        return params

    async def outer(params: Text, context: JobContext) -> Text:
        seen.append((await second.now(params, persist=persist)).error)
        seen.append(second.new_job(PARAMS, correlation_id="another").correlation_id)
        return params

    first, second = text_job(outer, "First"), text_job(inner, "Second")
    backend_on(MemoryStore(), first, second)
    assert (await first.now(PARAMS, persist=persist, correlation_id="request-7")).ok
    assert seen == ["request-7", "request-7", None, "another"]
    assert second.new_job(PARAMS).correlation_id is None


async def test_concurrent_handlers_of_two_backends_do_not_mix() -> None:
    both = asyncio.Barrier(2)
    second = text_job(echo, "Second")

    async def handler(params: Text, context: JobContext) -> Text:
        async with both:
            await second.later(params)
        return params

    first = text_job(handler, "First")
    backends = [backend_on(MemoryStore(), first, second) for _ in range(2)]
    await asyncio.gather(*(first.using(backend).now({"text": str(n)}) for n, backend in enumerate(backends)))
    for number, backend in enumerate(backends):
        records = await backend.store.list_jobs(JobQuery(job_name="Second"))
        assert [json.loads(record.params) for record in records] == [{"text": str(number)}]


async def test_set_database_binds_one_class_alone(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    first, second = text_job(echo, "First"), text_job(echo, "Second")
    backend_on(MemoryStore(), first, second)
    first.set_database(f"sqlite:///{tmp_path}/jobs.sqlite3")
    assert isinstance(first.backend, Backend)
    assert first.backend.name == "sqlite"
    assert (await first.now(PARAMS)).ok
    assert isinstance(second.backend, Backend)
    assert second.backend.name == "memory"
    await first.backend.shutdown()


async def test_set_database_wins_inside_handlers_of_another_backend_until_the_class_is_bound_otherwise() -> None:
    second, store = text_job(echo, "Second"), MemoryStore()

    async def handler(params: Text, context: JobContext) -> Text:
        await second.later(params)
        return params

    first = text_job(handler, "First")
    backend = backend_on(MemoryStore(), first, second)
    second.set_database(store)
    assert (await first.now(PARAMS)).ok
    assert [record.job_name for record in await store.list_jobs(JobQuery())] == ["Second"]
    second.bind(None)
    assert (await first.now(PARAMS)).ok
    assert await names_in(backend) == ["First", "First", "Second"]


# --- reading a row back ----------------------------------------------------------------------------------------------


async def test_a_row_is_read_with_the_types_of_its_job() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    await tick(backend)
    record = await read(backend, job_id)
    assert job.read_params(record) == Text(text="hello")
    assert job.result_of(record).data == Text(text="hello")


async def test_a_stored_result_of_another_shape_is_refused_by_pointer() -> None:
    class Number(BaseModel):
        text: int

    old = text_job(echo)
    backend = backend_on(MemoryStore(), old)
    job_id = await old.later(PARAMS)
    await tick(backend)
    new = define_job(name="Echo", params=Text, result=Number, handler=lambda params, context: Number(text=1))
    with pytest.raises(InvalidResultError, match="/text: Input should be a valid integer"):
        new.result_of(await read(backend, job_id))


# --- defining and closing --------------------------------------------------------------------------------------------


def test_names_that_no_index_supports_are_refused() -> None:
    long = "a" * 101
    for name, queue in ((long, "default"), ("Echo", long)):
        with pytest.raises(InvalidOptionError, match=f" must have at most 100 characters, and '{'a' * 40}'… has 101"):
            text_job(echo, name, JobOptions(queue=queue))
    with pytest.raises(InvalidOptionError, match=r"schedule\.name must have at most 99 characters"):
        Schedule(name=long[:100], cron="* * * * *")
    with pytest.raises(InvalidOptionError, match="queue must not contain NUL characters or lone surrogates"):
        JobOptions(queue="\0")


@pytest.mark.parametrize("name", ["", "send email", "1st", "a-b", "a.b"])
def test_a_job_name_is_an_identifier(name: str) -> None:
    with pytest.raises(InvalidOptionError, match="a job name must be an identifier such as 'SendEmail', not"):
        text_job(echo, name)


class Secretive(BaseModel):
    token: SecretStr


class Holder(BaseModel):
    inner: list[Secretive] | None = None


class Hiding(BaseModel):
    token: Annotated[str, Field(exclude=True)] = ""


class Writing(BaseModel):
    token: SecretStr

    @field_serializer("token")
    def _write(self, token: SecretStr) -> str:
        return token.get_secret_value()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Secretive, "the values of Secretive.token would be lost: it is written as asterisks"),
        (Holder, "the values of Secretive.token would be lost"),
        (Hiding, "the values of Hiding.token would be lost: it is excluded"),
    ],
)
def test_a_model_that_dumps_only_a_part_is_refused(model: type[BaseModel], message: str) -> None:
    for params, result in ((model, Text), (Text, model)):
        with pytest.raises(InvalidOptionError, match=message):
            define_job(name="Send", params=params, result=result, handler=lambda params, context: params)


def test_a_model_that_writes_its_secrets_itself_may_have_them() -> None:
    job = define_job(name="Send", params=Writing, result=Text, handler=lambda params, context: Text(text=""))
    assert job.new_job({"token": "x"}).params == '{"token":"x"}'


@pytest.mark.parametrize(
    "options",
    [
        {"version": 0},
        {"priority": 1000},
        {"max_attempts": 0},
        {"timeout": timedelta(0)},
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused_where_they_are_given(options: dict[str, object]) -> None:
    with pytest.raises(InvalidOptionError, match=f"{next(iter(options))} must be "):
        JobOptions(**options)  # type: ignore[arg-type]  # on purpose


async def test_calls_after_the_end_of_connect_raise_a_clear_error(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    job = text_job(echo)
    async with connect(create_job_registry().register(job), f"sqlite:///{tmp_path}/jobs.sqlite3"):
        handle = await job.later(PARAMS)
    with pytest.raises(DatabaseError, match="is not open"):
        await handle.status()


async def test_a_script_may_run_one_event_loop_after_another(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    job = text_job(echo)
    job.set_database(f"sqlite:///{tmp_path}/jobs.sqlite3")
    backend = job.backend
    assert isinstance(backend, Backend)
    outcomes: list[bool] = []

    def script() -> None:
        outcomes.extend(asyncio.run(job.now(PARAMS)).ok for _ in range(3))
        asyncio.run(backend.shutdown())

    thread = threading.Thread(target=script)
    thread.start()
    await asyncio.to_thread(thread.join, 10)
    assert outcomes == [True] * 3


async def test_inserting_jobs_made_by_hand_answers_in_their_order() -> None:
    backend = backend_on(MemoryStore())
    jobs = [NewJob(id=f"j{number}", job_name="Echo", params="{}") for number in range(3)]
    assert [inserted.id for inserted in await backend.insert(jobs)] == ["j0", "j1", "j2"]


# --- retired jobs ----------------------------------------------------------------------------------------------------


async def test_a_retired_job_is_not_enqueued_and_those_that_wait_still_run() -> None:
    store = MemoryStore()
    active = text_job(echo)
    backend_on(store, active)
    waiting = await active.later(PARAMS)
    retired = text_job(echo, options=JobOptions(retired=True))
    backend_on(store, retired)
    for call in (
        lambda: retired.later(PARAMS),
        lambda: retired.later_many([PARAMS]),
        lambda: retired.now(PARAMS),
        lambda: retired.now(PARAMS, persist=False),
        lambda: retired.now_many([PARAMS]),
    ):
        with pytest.raises(JobRetiredError, match=f"{retired.job_name} is retired"):
            await call()
    assert len(await store.list_jobs(JobQuery())) == 1
    assert (await retired.execute_from_database(str(waiting))).ok


async def test_a_job_that_one_call_enqueues_is_refused_by_the_calls_of_its_class() -> None:
    own = text_job(echo)
    own.enqueued_by = "echo.enqueue(...)"
    backend = backend_on(MemoryStore(), own)
    for call in (
        lambda: own.later(PARAMS),
        lambda: own.later_many([PARAMS]),
        lambda: own.now(PARAMS),
        lambda: own.now(PARAMS, persist=False),
        lambda: own.now_many([PARAMS]),
        lambda: own.schedule("daily").add(cron="0 7 * * *", params=PARAMS),
    ):
        with pytest.raises(JobNotOfferedError, match=r"can only be enqueued in Python, with echo\.enqueue"):
            await call()
    with pytest.raises(JobNotOfferedError):
        own.insert_job(PARAMS, dialect="sqlite", paramstyle="named")
    assert backend.registry.offered() == []
    assert await backend.store.list_jobs(JobQuery()) == []
