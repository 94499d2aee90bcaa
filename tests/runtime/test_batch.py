"""A batch: the jobs of one call, with their counts, their outcomes, and a job that runs after all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from server_jobs import (
    Batch,
    BatchCounts,
    BatchNotFoundError,
    InvalidOptionError,
    InvalidParamsError,
    Job,
    JobContext,
    JobNotFoundError,
    JobOptions,
    JobStatus,
    Worker,
    create_job_context,
    define_job,
    tick,
)
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.domain.record import JobQuery, NewJob
from server_jobs.engine.backend import Backend
from server_jobs.engine.maintenance import Maintenance
from server_jobs.errors import MOST_PROBLEMS
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs.testing.fake_job import FakeJob

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import SECOND, SOON, Text, TextJob, backend_on, echo, fail, status_of, text_job, turns

DAY = timedelta(days=1)


class Counted(BaseModel):
    """The counts that a completion job has seen."""

    completed: int
    failed: int
    cancelled: int


async def count(params: Text, context: JobContext) -> Counted:
    """Count the batch."""
    counts = await context.batch_counts()
    assert not counts.unfinished
    return Counted(completed=counts.completed, failed=counts.failed, cancelled=counts.cancelled)


Report = type[Job[Text, Counted, Mapping[str, object]]]


def report_job() -> Report:
    return define_job(name="Report", params=Text, result=Counted, handler=count)


async def fail_two(params: Text, context: JobContext) -> Text:
    """Fail for one of the params."""
    return await (fail if params.text == "2" else echo)(params, context)


def texts(count: int) -> list[dict[str, str]]:
    return [{"text": str(number)} for number in range(count)]


async def work(backend: Backend) -> None:
    await Worker(backend, until_empty=True).run()


class CountingDatabase(SqliteDatabase):
    """Counts its transactions."""

    transactions = 0

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        self.transactions += 1
        return await super().run(*calls, look=look)


@pytest.fixture
def database(tmp_path: Path) -> CountingDatabase:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    return CountingDatabase(tmp_path / "jobs.sqlite3")


async def test_a_batch_is_a_sequence_of_handles_in_the_order_of_the_params() -> None:
    job = text_job(echo)
    backend_on(None, job)

    batch = await job.later_many(texts(3))

    assert isinstance(batch, Sequence)
    first, *others = batch
    assert (len(batch), first, others, batch[-1], batch[:1]) == (3, batch[0], list(batch[1:]), others[1], [first])
    assert [(await handle.record()).params for handle in batch] == ['{"text":"0"}', '{"text":"1"}', '{"text":"2"}']
    assert (first in batch, str(first) in batch, "unknown" in batch) == (True, True, False)
    assert repr(batch) == f"<Batch {batch.id} of 3 Echo jobs>"


async def test_results_are_the_outcomes_in_the_order_of_the_params() -> None:
    job = text_job(fail_two, options=JobOptions(max_attempts=1))
    backend = backend_on(None, job)
    batch = await job.later_many(texts(4))
    waiting = asyncio.create_task(batch.results(timeout=5 * SECOND))
    await turns()
    await work(backend)

    outcomes = await waiting

    assert [outcome.ok and outcome.data.text for outcome in outcomes] == ["0", "1", False, "3"]
    assert "no good: 2" in str(outcomes[2].error)
    assert await batch.counts() == await batch.wait() == BatchCounts(completed=3, failed=1)


async def test_waiting_ends_with_its_time_and_leaves_the_jobs_alone() -> None:
    job = text_job(echo)
    backend_on(None, job)
    batch = await job.later_many(texts(2))

    for wait in (batch.wait, batch.results):
        with pytest.raises(TimeoutError, match=f"the batch {batch.id} has not finished after .* seconds"):
            await wait(timeout=SOON)
    assert await batch.counts() == BatchCounts(pending=2)


async def insert_jobs(job: TextJob, params: Sequence[Mapping[str, object]]) -> None:
    """Make the statement for many jobs."""
    job.insert_jobs(params, dialect="sqlite", paramstyle="qmark")


@pytest.mark.parametrize(
    "enqueue", [lambda job, params: job.later_many(params), lambda job, params: job.batch(params), insert_jobs]
)
async def test_one_error_names_all_params_of_a_batch_that_do_not_fit(
    enqueue: Callable[[TextJob, Sequence[Mapping[str, object]]], Awaitable[object]],
) -> None:
    job = text_job(echo)
    backend = backend_on(None, job)

    with pytest.raises(InvalidParamsError) as caught:
        await enqueue(job, [{"text": "a"}, {"text": 5}, {"text": "b"}, {}])

    assert [one.pointer for one in caught.value.problems] == ["/1/text", "/3/text"]
    assert str(caught.value) == (
        "params of Echo do not fit its spec: /1/text: Input should be a valid string, got 5; /3/text: Field required"
    )
    assert list(await backend.store.list_jobs(JobQuery())) == []


async def test_the_error_of_a_batch_counts_the_problems_that_it_leaves_out() -> None:
    job = text_job(echo)
    backend_on(None, job)

    with pytest.raises(InvalidParamsError) as caught:
        await job.later_many([{}] * 250)

    assert (len(caught.value.problems), caught.value.left_out) == (MOST_PROBLEMS, 250 - MOST_PROBLEMS)
    assert caught.value.problems[-1].pointer == "/99/text"


async def test_a_batch_is_watched_to_its_end() -> None:
    job = text_job(echo)
    backend = backend_on(None, job, max_concurrency=1)
    batch = await job.later_many(texts(2))
    seen: list[BatchCounts] = []
    async for counts in batch.watch():
        seen.append(counts)
        await tick(backend, limit=1)

    assert [(counts.pending, counts.percent) for counts in seen] == [(2, 0), (1, 50), (0, 100)]


async def test_the_percentage_is_100_only_when_all_jobs_have_finished() -> None:
    assert BatchCounts(pending=1, completed=999).percent == 99
    assert BatchCounts(cancelled=1).percent == 100
    assert BatchCounts().percent == 100


async def test_waiting_and_reading_cost_one_query_per_look_for_any_number_of_jobs(database: CountingDatabase) -> None:
    job = text_job(echo)
    backend = backend_on(SqlStore(database), job)
    batch = await job.later_many(texts(1000))
    await work(backend)

    before = database.transactions
    assert await batch.wait() == BatchCounts(completed=1000)
    assert database.transactions - before == 1
    assert len(await batch.results()) == 1000
    assert database.transactions - before == 3  # another look, and the records
    await backend.shutdown()


async def test_results_answer_for_duplicates_and_wait_for_them() -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    owner = await job.later({"text": "first"}, unique_key="key", delay=DAY)

    batch = await job.later_many(texts(2), unique_key="key")

    assert [(str(handle), handle.created) for handle in batch] == [(str(owner), False)] * 2
    assert await batch.wait() == BatchCounts()
    with pytest.raises(TimeoutError):
        await batch.results(timeout=SOON)
    assert await batch.cancel() == 0
    await job.execute_from_database(owner)
    assert [outcome.data.text for outcome in await batch.results()] == ["first", "first"]
    await backend.shutdown()


async def test_results_of_a_deleted_job_are_missing() -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    batch = await job.later_many(texts(3))
    await work(backend)
    await backend.store.delete([batch[1]])

    with pytest.raises(JobNotFoundError, match=batch[1]):
        await batch.results()
    assert await batch.counts() == BatchCounts(completed=2)


async def test_a_batch_is_cancelled() -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    batch = await job.later_many(texts(3))
    await job.execute_from_database(batch[0])

    assert await batch.cancel() == 2
    assert await batch.counts() == BatchCounts(completed=1, cancelled=2)
    assert await batch.cancel() == 0
    await backend.shutdown()


async def test_failed_jobs_of_a_batch_are_retried() -> None:
    job = text_job(fail_two, options=JobOptions(max_attempts=1))
    backend = backend_on(None, job)
    batch = await job.later_many(texts(3))
    await batch[0].cancel()
    await work(backend)

    assert await batch.retry() == 1
    assert await batch.counts() == BatchCounts(pending=1, completed=1, cancelled=1)
    assert await batch.retry() == 0


async def test_a_stored_batch_is_found_by_its_id_with_its_jobs_in_order(database: CountingDatabase) -> None:
    job, other = text_job(echo), text_job(echo, "Other")
    backend = backend_on(SqlStore(database), job, other)
    batch = await job.later_many(texts(20))
    await work(backend)

    found = await job.find_batch(batch.id)

    assert (found.id, list(found), found[0].created) == (batch.id, list(batch), False)
    assert [outcome.data.text for outcome in await found.results()] == [str(number) for number in range(20)]
    for batch_id, asked in ((batch.id, other), ("unknown", job), (str(batch[0]), job), (None, job)):
        with pytest.raises(BatchNotFoundError, match=str(batch_id)):
            await asked.find_batch(batch_id)
    await backend.shutdown()


def test_a_batch_is_used_without_an_event_loop(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    job = text_job(echo)
    job.set_database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    batch = job.later_many_sync(texts(2))

    assert job.find_batch_sync(batch.id).counts_sync() == batch.counts_sync() == BatchCounts(pending=2)
    assert batch.cancel_sync() == 2
    assert batch.retry_sync() == 0
    assert batch.wait_sync(timeout=SECOND) == BatchCounts(cancelled=2)
    assert [outcome.ok for outcome in batch.results_sync(timeout=SECOND)] == [False, False]


async def test_methods_for_code_without_an_event_loop_refuse_to_block_one() -> None:
    job = text_job(echo)
    backend_on(None, job)
    batch = await job.later_many(texts(1))
    for call in (batch.counts_sync, batch.wait_sync, batch.results_sync, batch.cancel_sync, batch.retry_sync):
        with pytest.raises(InvalidOptionError, match="use `await"):
            call()


# --- the completion job


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Backend, TextJob, Report]:
    """A backend, a job that fails for one of its params, and a job that counts its batch."""
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    store = MemoryStore() if request.param == "memory" else SqlStore(SqliteDatabase(tmp_path / "jobs.sqlite3"))
    job, report = text_job(fail_two, options=JobOptions(max_attempts=1)), report_job()
    return backend_on(store, job, report), job, report


async def outcome_of(report: Report, batch: Batch[Text]) -> Counted:
    return (await report.handle(batch.id).result(timeout=5 * SECOND)).data


async def test_a_completion_job_runs_after_all_jobs_and_counts_them(jobs: tuple[Backend, TextJob, Report]) -> None:
    backend, job, report = jobs
    batch = await job.later_many(texts(4), then=report.new_job({"text": "news"}))
    await batch[0].cancel()

    await work(backend)

    assert await outcome_of(report, batch) == Counted(completed=2, failed=1, cancelled=1)
    assert (await report.handle(batch.id).record()).params == '{"text":"news"}'
    await backend.shutdown()


async def test_a_completion_job_is_stored_in_the_transaction_of_the_jobs(database: CountingDatabase) -> None:
    job, report = text_job(echo), report_job()
    backend = backend_on(SqlStore(database), job, report)
    await backend.initialize()
    before = database.transactions

    await job.later_many(texts(3), then=report.new_job({"text": "news"}))

    assert database.transactions - before == 1
    await backend.shutdown()


async def test_a_tick_runs_a_batch_to_its_completion_job(jobs: tuple[Backend, TextJob, Report]) -> None:
    backend, job, report = jobs
    batch = await job.later_many(texts(4), then=report.new_job({"text": "news"}))

    done = await tick(backend)

    assert (done.completed, done.failed) == (4, 1)
    assert await outcome_of(report, batch) == Counted(completed=3, failed=1, cancelled=0)
    await backend.shutdown()


async def test_a_tick_without_due_jobs_ends_batches(jobs: tuple[Backend, TextJob, Report]) -> None:
    backend, job, report = jobs
    batch = await job.later_many(texts(2), then=report.new_job({"text": "news"}), delay=DAY)
    assert (await tick(backend)).completed == 0
    await batch.cancel()

    assert (await tick(backend)).completed == 1
    assert await outcome_of(report, batch) == Counted(completed=0, failed=0, cancelled=2)
    await backend.shutdown()


async def test_a_completion_job_runs_once_although_jobs_are_retried(jobs: tuple[Backend, TextJob, Report]) -> None:
    backend, job, report = jobs
    batch = await job.later_many(texts(4), then=report.new_job({"text": "news"}))
    await work(backend)
    first = await report.handle(batch.id).record()
    assert await batch.retry() == 1

    await work(backend)

    assert (await batch[2].record()).attempt_count == 1
    assert await report.handle(batch.id).record() == first
    await backend.shutdown()


@pytest.mark.parametrize("is_empty", [True, False])
async def test_a_batch_without_new_jobs_completes_at_once(
    jobs: tuple[Backend, TextJob, Report], is_empty: bool
) -> None:
    backend, job, report = jobs
    await job.later({"text": "first"}, unique_key="key", delay=DAY)
    given = [] if is_empty else texts(2)
    batch = await job.later_many(given, then=report.new_job({"text": "news"}), unique_key="key")

    assert (await report.handle(batch.id).record()).waits_for_batch is False
    await work(backend)
    assert await outcome_of(report, batch) == Counted(completed=0, failed=0, cancelled=0)
    await backend.shutdown()


async def test_a_job_that_is_stored_at_a_second_try_has_no_batch(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStore(database)
    job, report = text_job(echo), report_job()
    backend = backend_on(store, job, report)
    owner = await job.later({"text": "first"}, unique_key="key", delay=DAY)

    async def finished_since(*_: object) -> Sequence[Row]:
        await store.cancel(owner)
        return ()

    monkeypatch.setattr(store, "_key_owners", finished_since)
    batch = await job.later_many(texts(1), then=report.new_job({"text": "news"}), unique_key="key")

    assert batch[0].created
    assert (await batch[0].record()).batch_id is None
    await work(backend)  # otherwise the batch could end before its job exists
    assert await outcome_of(report, batch) == Counted(completed=0, failed=0, cancelled=0)
    assert [outcome.ok for outcome in await batch.results()] == [True]
    await backend.shutdown()


async def test_a_completion_job_finds_its_batch(jobs: tuple[Backend, TextJob, Report]) -> None:
    backend, job, _ = jobs

    async def gather(params: Text, context: JobContext) -> Text:
        batch = await job.find_batch(context.job_id)
        return Text(text="".join(outcome.data.text for outcome in await batch.results()))

    gathering = text_job(gather, "Gather")
    backend.registry.register(gathering)
    gathering.bind(backend)
    batch = await job.later_many(texts(2), then=gathering.new_job({"text": ""}))
    await work(backend)

    assert (await gathering.handle(batch.id).result(timeout=SECOND)).data == Text(text="01")
    await backend.shutdown()


async def test_a_worker_starts_a_completion_job_soon_after_the_last_job() -> None:
    clock = FakeClock()
    job, report = text_job(echo), report_job()
    backend = backend_on(None, job, report, clock=clock)
    worker = Worker(backend)
    running = asyncio.create_task(worker.run())
    await turns()

    batch = await job.later_many(texts(3), then=report.new_job({"text": "news"}))
    await turns(200)

    assert await status_of(backend, batch.id) is JobStatus.COMPLETED  # the time stood still: no maintenance since
    worker.stop()
    await running


async def test_maintenance_ends_batches_whose_last_job_another_process_ended() -> None:
    clock = FakeClock()
    job, report = text_job(echo), report_job()
    backend = backend_on(None, job, report, clock=clock)
    batch = await job.later_many(texts(1), then=report.new_job({"text": "news"}))
    await batch.cancel()
    calls: list[None] = []
    backend.inserted.append(lambda: calls.append(None))

    Maintenance(backend.execution, lambda: None).tick()
    await turns()

    assert not (await report.handle(batch.id).record()).waits_for_batch
    assert len(calls) == 1


async def test_a_completion_job_of_a_worker_with_other_jobs_stays_pending() -> None:
    job, report = text_job(echo), report_job()
    backend_on(store := MemoryStore(), job, report)
    batch = await job.later_many(texts(2), then=report.new_job({"text": "news"}))
    backend = backend_on(store, job)

    await work(backend)

    record = await backend.store.get(batch.id)
    assert record is not None
    assert (record.status, record.waits_for_batch) == (JobStatus.PENDING, False)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"delay": SECOND}, "delay"), ({"unique_key": "key"}, "unique key")],
    ids=["delay", "unique key"],
)
async def test_a_completion_job_has_no_due_time_and_no_unique_key(options: dict[str, object], reason: str) -> None:
    job, report = text_job(echo), report_job()
    backend = backend_on(None, job, report)
    new: NewJob = report.new_job({"text": "news"}, **options)  # type: ignore[arg-type]

    with pytest.raises(InvalidOptionError, match=f"Report .*{reason}"):
        await job.later_many(texts(1), then=new)
    assert list(await backend.store.count_jobs()) == []


async def test_nothing_is_stored_if_one_of_the_params_does_not_fit() -> None:
    job, report = text_job(echo), report_job()
    backend = backend_on(None, job, report)

    with pytest.raises(InvalidParamsError):
        await job.later_many([{"text": "0"}, {"text": 1}], then=report.new_job({"text": "news"}))
    assert list(await backend.store.count_jobs()) == []


async def test_another_job_has_no_batch_to_count() -> None:
    with pytest.raises(InvalidOptionError, match="Test 1 is not the completion job of a batch"):
        await create_job_context(job_id="1", jobs=MemoryStore()).batch_counts()
    with pytest.raises(InvalidOptionError, match="not the completion job"):
        await create_job_context().batch_counts()


async def test_a_fake_runs_a_batch_at_once_and_keeps_its_completion_job() -> None:
    job, report = text_job(fail), report_job()
    with FakeJob(job, result=Text(text="fake")) as calls:
        batch = await job.later_many(texts(2), then=report.new_job({"text": "news"}))
        assert [outcome.data.text for outcome in await batch.results()] == ["fake", "fake"]
    assert [params.text for params in calls] == ["0", "1"]
