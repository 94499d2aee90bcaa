"""The README of the original TypeScript package from top to bottom, in Python.

Each test is one of its snippets or promises, in its order. Names are in snake case, milliseconds are `timedelta`s.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field
from server_jobs import (
    JOB_STATUS,
    InvalidOptionError,
    JobContext,
    JobFailedError,
    JobMetadata,
    JobNotFoundError,
    JobResult,
    JobStatus,
    JobUnavailableError,
    create_job_context,
    create_job_registry,
    define_job,
    schema,
)
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.engine.backend import Backend, WorkerBackendConfig
from server_jobs.engine.worker_backend import PollingBackend, PollResult, WorkerBackend, WorkerExecutionResult
from server_jobs.memory import InMemoryBackend
from server_jobs.schema import cron_jobs, jobs
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cloudflare import CloudflareWorkerBackend, create_cron_handler
from server_jobs_http import Tokens, create_app, new_token
from server_jobs_http.app import under_prefix
from starlette.types import ASGIApp

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import read, turns

HELLO = {"to": "user@example.com", "subject": "Hello", "body": "World"}


# --- Quick Start: 1. Define a Job ------------------------------------------------------------------------------------


class SendEmailParams(BaseModel):
    to: str = Field(pattern=r"^\S+@\S+$")
    subject: str
    body: str


class SendEmailResult(BaseModel):
    message_id: str = Field(alias="messageId")
    sent_at: datetime = Field(alias="sentAt")


async def send_email(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    await context.update_progress(0, "Sending email...")
    if params.to.startswith("nobody@"):
        raise ConnectionError("the mail server refused the recipient")
    message_id = f"<{params.subject}@example.com>"
    await context.update_progress(100, "Email sent")
    return SendEmailResult(messageId=message_id, sentAt=datetime.now(UTC))


SendEmailJob = define_job(name="SendEmail", params=SendEmailParams, result=SendEmailResult, handler=send_email)


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[PollingBackend]:
    """Open both jobs of this README on a SQLite file."""
    create_sqlite_file(folder / "local.db")
    registry = create_job_registry().register(SendEmailJob).register(TestJob)
    backend = PollingBackend(database=f"sqlite:///{folder}/local.db", job_registry=registry)
    registry.bind(backend)
    await backend.initialize()
    try:
        yield backend
    finally:
        registry.bind(None)
        await backend.shutdown()


# --- Quick Start: 2. Execute Jobs ------------------------------------------------------------------------------------


async def test_execute_immediately(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path):
        result = await SendEmailJob.now(HELLO)
        assert result.data.message_id == "<Hello@example.com>"
        assert result.data.sent_at.tzinfo is not None


async def test_queue_for_later_execution(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        job_id = await SendEmailJob.later(HELLO)
        assert isinstance(job_id, str)
        record = await read(backend, job_id)
        assert (record.job_name, record.status, json.loads(record.params)) == ("SendEmail", JOB_STATUS.PENDING, HELLO)


async def test_the_id_gives_typed_access_to_the_jobs_result(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        job_id = await SendEmailJob.later(HELLO)
        assert await job_id.status() is JobStatus.PENDING
        (claim,) = (await backend.poll_and_claim()).claimed_jobs
        assert await job_id.status() is JobStatus.RUNNING
        await backend.execute(claim)
        assert (await job_id.result()).data.message_id == "<Hello@example.com>"
        second = await SendEmailJob.later(HELLO)
        assert await second.cancel() == "cancelled"
        assert await second.status() is JobStatus.CANCELLED


async def test_batch_execution(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path):
        results = await SendEmailJob.batch(
            [
                {"to": "user1@example.com", "subject": "Hi", "body": "Hello"},
                {"to": "user2@example.com", "subject": "Ho", "body": "Hello"},
            ],
            concurrency=5,
            stop_on_error=False,
        )
        assert [result.data.message_id for result in results] == ["<Hi@example.com>", "<Ho@example.com>"]


# --- Quick Start: 3. Set Up Worker Backend (Cloudflare) --------------------------------------------------------------


async def test_create_a_cron_handler(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        job_id = await SendEmailJob.later(HELLO)
        handler = create_cron_handler(
            database=backend.store,
            job_registry=create_job_registry().register(SendEmailJob),
            max_concurrency=10,
            lock_timeout=timedelta(minutes=5),
        )
        await handler.scheduled(None, SimpleNamespace(), None)
        assert (await read(backend, job_id)).status is JobStatus.COMPLETED
        with pytest.raises(InvalidOptionError, match="lease must be longer than zero"):
            await create_cron_handler(
                database=backend.store, job_registry=create_job_registry(), lock_timeout=timedelta(0)
            ).scheduled(None, SimpleNamespace(), None)


# --- API Reference: Job Methods --------------------------------------------------------------------------------------


async def test_now_persists_by_default(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        result = await SendEmailJob.now(HELLO)
        assert result.metadata.job_id is not None
        record = await read(backend, result.metadata.job_id)
        assert (record.status, record.progress, record.progress_message) == (JobStatus.COMPLETED, 100, "Email sent")
        assert record.result is not None
        assert json.loads(record.result)["messageId"] == "<Hello@example.com>"


async def test_now_without_persisting_leaves_no_trace(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        result = await SendEmailJob.now(HELLO, persist=False)
        assert result.data.message_id == "<Hello@example.com>"
        assert result.metadata.job_id is None
        assert await backend.store.count_jobs() == []


async def test_the_worker_timeout_is_the_lock_of_a_run_and_five_minutes_by_default() -> None:
    leases: list[timedelta] = []
    store = MemoryStore()

    async def handler(params: TestJobParams, context: JobContext) -> TestJobParams:
        record = await store.get(context.job_id or "")
        assert record is not None
        assert record.worker_started_at is not None
        assert record.worker_expires_at is not None
        leases.append(record.worker_expires_at - record.worker_started_at)
        return params

    job = define_job(name="Look", params=TestJobParams, result=TestJobParams, handler=handler)
    job.set_database(store)
    await job.now({"message": "a"})
    await job.now({"message": "a"}, worker_timeout=timedelta(seconds=7))
    assert leases == [timedelta(minutes=5), timedelta(seconds=7)]


async def test_batch_runs_three_at_a_time_by_default_and_never_more_than_asked() -> None:
    running, most = 0, 0

    async def handler(params: TestJobParams, context: JobContext) -> TestJobParams:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await turns(5)
        running -= 1
        return params

    job = define_job(name="Count", params=TestJobParams, result=TestJobParams, handler=handler)
    job.set_database(MemoryStore())
    params = [{"message": str(number)} for number in range(10)]
    for concurrency, expected in ((None, 3), (2, 2), (1, 1), (50, 10)):
        most = 0
        results = await (job.batch(params) if concurrency is None else job.batch(params, concurrency=concurrency))
        assert most == expected
        assert [result.data.message for result in results] == [str(number) for number in range(10)]


async def test_batch_includes_failures_in_the_order_of_the_input(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        results = await SendEmailJob.batch([HELLO, HELLO | {"to": "nobody@example.com"}, HELLO])
        assert [result.ok for result in results] == [True, False, True]
        assert results[1].error is not None
        assert results[1].error.startswith("ConnectionError: the mail server refused the recipient")
        with pytest.raises(JobFailedError, match="the mail server refused the recipient"):
            _ = results[1].data
        assert sum(count.count for count in await backend.store.count_jobs()) == 3


async def test_batch_may_leave_no_trace(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        assert all(result.ok for result in await SendEmailJob.batch([HELLO] * 5, persist=False))
        assert await backend.store.count_jobs() == []


async def test_batch_aborts_on_the_first_failure_if_asked(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        params = [HELLO, HELLO | {"to": "nobody@example.com"}, *[HELLO] * 8]
        with pytest.raises(JobFailedError, match="the mail server refused the recipient"):
            await SendEmailJob.batch(params, concurrency=1, stop_on_error=True)
        assert sum(count.count for count in await backend.store.count_jobs()) == 2


async def test_execute_from_database(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path):
        job_id = await SendEmailJob.later(HELLO)
        result: JobResult[SendEmailResult] = await SendEmailJob.execute_from_database(job_id)
        assert result.data.message_id == "<Hello@example.com>"
        assert (result.metadata.job_id, result.metadata.attempt_count) == (job_id, 1)


async def test_execute_from_database_refuses_a_job_leased_to_another_worker(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        job_id = await SendEmailJob.later(HELLO)
        (claim,) = (await backend.poll_and_claim()).claimed_jobs
        with pytest.raises(JobUnavailableError, match="it is running, and only a pending job can be claimed"):
            await SendEmailJob.execute_from_database(job_id)
        await backend.execute(claim)
        with pytest.raises(JobUnavailableError, match="it is completed"):
            await SendEmailJob.execute_from_database(job_id)
        with pytest.raises(JobNotFoundError):
            await SendEmailJob.execute_from_database("01890a5d-ac96-774b-bcce-b302099a8057")


async def test_of_two_workers_that_execute_a_job_one_gets_it(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path):
        job_id = await SendEmailJob.later(HELLO)
        outcomes = await asyncio.gather(
            *(SendEmailJob.execute_from_database(job_id) for _ in range(5)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["JobResult"] + ["JobUnavailableError"] * 4


# --- Job Context -----------------------------------------------------------------------------------------------------


async def test_the_context_implements_the_interface(caplog: pytest.LogCaptureFixture) -> None:
    contexts: list[JobContext] = []

    async def handler(params: TestJobParams, context: JobContext) -> TestJobParams:
        contexts.append(context)
        await context.update_progress(50)
        context.log.info("info", params)  # noqa: PLE1205  no logging.Logger
        context.log.warn("warn", {"n": 1})  # noqa: PLE1205, G010  no logging.Logger
        context.log.error("error")
        return params

    database = {"mock": True}
    job = define_job(name="Look", params=TestJobParams, result=TestJobParams, handler=handler)
    backend = InMemoryBackend(database=database, job_registry=create_job_registry().register(job))
    backend.registry.bind(backend)
    with caplog.at_level("INFO", "server_jobs.job"):
        stored = await job.now({"message": "a"})
        await job.now({"message": "a"}, persist=False)
    assert [context.job_id for context in contexts] == [stored.metadata.job_id, None]
    assert [context.database for context in contexts] == [database, database]
    assert caplog.messages[:3] == ["Look: info message='a'", "Look: warn {'n': 1}", "Look: error"]


async def test_a_context_can_be_created_for_the_test_of_a_handler() -> None:
    context = create_job_context(job_name="SendEmail")
    result = await send_email(SendEmailParams(to="a@b", subject="s", body="b"), context)
    assert result.message_id == "<s@example.com>"
    assert (context.progress, context.progress_message) == (100, "Email sent")


# --- Job Registry ----------------------------------------------------------------------------------------------------


def test_the_registry() -> None:
    registry = create_job_registry().register(SendEmailJob).register(TestJob)
    assert registry.has("SendEmail") is True
    assert registry.get("SendEmail") is SendEmailJob
    assert registry.get("Nothing") is None
    assert registry.get_names() == ["SendEmail", "TestJob"]


# --- Worker Backends -------------------------------------------------------------------------------------------------


async def test_the_in_memory_backend() -> None:
    backend: WorkerBackend = InMemoryBackend(database={}, job_registry=create_job_registry().register(SendEmailJob))
    await backend.initialize()
    assert isinstance(backend, InMemoryBackend)
    backend.add_job(job_name="SendEmail", params=HELLO)
    poll: PollResult = await backend.poll_and_claim()
    result: WorkerExecutionResult = await backend.execute(poll.claimed_jobs[0])
    assert result.success
    assert (await backend.health_check()).ok
    await backend.shutdown()


async def test_every_method_of_a_worker_backend(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        assert isinstance(backend.name, str)
        assert isinstance(backend.config, WorkerBackendConfig)
        await backend.initialize()
        await backend.initialize()
        job_id = await SendEmailJob.later(HELLO)
        poll = await backend.poll_and_claim(limit=1)
        assert (len(poll.claimed_jobs), poll.available_count) == (1, 0)
        assert await backend.release_lock(job_id) is True
        assert (await read(backend, job_id)).status is JobStatus.PENDING
        assert await backend.handle_expired_locks() == []
        assert (await backend.health_check()).ok
        (claim,) = (await backend.poll_and_claim()).claimed_jobs
        result = await backend.execute(claim)
        assert (result.job_id, result.success, result.error) == (job_id, True, None)
        assert result.duration > timedelta(0)
        await backend.shutdown()
        await backend.shutdown()


# --- Database Schema -------------------------------------------------------------------------------------------------


def test_the_jobs_table_has_every_column_of_the_original() -> None:
    assert set(jobs.columns.keys()) >= {
        "id", "job_name", "params", "result", "status", "progress", "progress_message", "error", "worker_started_at",
        "worker_expires_at", "attempt_count", "max_attempts", "scheduled_for", "correlation_id", "created_at",
        "updated_at", "completed_at",
    }  # fmt: skip
    assert jobs.primary_key.columns.keys() == ["id"]


def test_the_cron_jobs_table_has_every_column_of_the_original() -> None:
    assert set(cron_jobs.columns.keys()) >= {
        "id", "job_name", "cron_expression", "params", "enabled", "last_run_at", "next_run_at", "last_job_id",
        "created_at", "updated_at",
    }  # fmt: skip


def test_the_statuses() -> None:
    assert JOB_STATUS is JobStatus is schema.JOB_STATUS
    assert [JOB_STATUS.PENDING, JOB_STATUS.RUNNING, JOB_STATUS.COMPLETED, JOB_STATUS.FAILED] == [
        "pending", "running", "completed", "failed",
    ]  # fmt: skip


async def test_a_row_written_by_the_typescript_package_is_run(tmp_path: Path) -> None:
    """It has the original columns only, and times in milliseconds; our columns have defaults."""
    async with on_sqlite(tmp_path) as backend:
        now = int(datetime.now(UTC).timestamp() * 1000)
        execute(
            tmp_path,
            "INSERT INTO jobs (id, job_name, params, status, progress, attempt_count, max_attempts, created_at,"
            f" updated_at) VALUES ('01890a5d-ac96-774b-bcce-b302099a8057', 'SendEmail', '{json.dumps(HELLO)}',"
            f" 'pending', 0, 0, 3, {now}, {now})",
        )
        poll = await backend.poll_and_claim()
        assert (await backend.execute(poll.claimed_jobs[0])).success
        ((result, completed_at),) = execute(tmp_path, "SELECT result, completed_at FROM jobs")
        assert json.loads(result)["messageId"] == "<Hello@example.com>"
        assert now <= completed_at < now + 60_000


# --- Exports ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "server_jobs",
            "define_job create_job_registry create_job_context JOB_STATUS JobResult JobMetadata JobContext",
        ),
        ("server_jobs.schema", "jobs cron_jobs JobStatus metadata"),
        ("server_jobs_cloudflare", "CloudflareWorkerBackend create_cron_handler"),
        ("server_jobs.memory", "InMemoryBackend"),
        ("server_jobs.engine.worker_backend", "WorkerBackend WorkerBackendConfig PollResult WorkerExecutionResult"),
    ],
)
def test_the_exports(module: str, names: str) -> None:
    exported = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(exported, name)] == []


# --- Local Development & Testing -------------------------------------------------------------------------------------


class TestJobParams(BaseModel):
    __test__ = False  # pytest would read a class of this name as tests.

    message: str


class TestJobResult(BaseModel):
    __test__ = False

    processed_message: str = Field(alias="processedMessage")
    timestamp: datetime


async def process(params: TestJobParams, context: JobContext) -> TestJobResult:
    context.log.info("Starting test job", params)  # noqa: PLE1205  no logging.Logger
    await context.update_progress(50, "Processing...")
    await context.update_progress(100, "Complete")
    return TestJobResult(processedMessage=f"Processed: {params.message}", timestamp=datetime.now(UTC))


TestJob = define_job(name="TestJob", params=TestJobParams, result=TestJobResult, handler=process)


async def test_immediate_execution_in_a_script(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "local.db")
    store = SqlStore(SqliteDatabase(tmp_path / "local.db"))
    TestJob.set_database(store)

    first = await TestJob.now({"message": "Hello, World!"}, persist=True)
    assert first.data.processed_message == "Processed: Hello, World!"
    assert isinstance(first.metadata, JobMetadata)
    assert first.metadata.status is JOB_STATUS.COMPLETED

    second = await TestJob.now({"message": "Quick test"}, persist=False)
    assert second.data.processed_message == "Processed: Quick test"

    results = await TestJob.batch(
        [{"message": "Batch 1"}, {"message": "Batch 2"}, {"message": "Batch 3"}], concurrency=2
    )
    assert len(results) == 3

    queued = await TestJob.later({"message": "Queued job"})
    rows = execute(tmp_path, "SELECT id, job_name, status, progress FROM jobs ORDER BY id DESC LIMIT 5")
    assert rows[0] == (queued, "TestJob", "pending", 0)
    assert rows[-1] == (first.metadata.job_id, "TestJob", "completed", 100)
    assert len(rows) == 5
    TestJob.bind(None)
    await store.close()


def test_the_database_may_be_given_as_a_url_too(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "local.db")
    TestJob.set_database(f"sqlite:///{tmp_path}/local.db")
    assert isinstance(TestJob.backend, Backend)
    result = asyncio.run(run_and_close(TestJob.backend))
    assert result.ok
    TestJob.bind(None)


async def run_and_close(backend: Backend) -> JobResult[TestJobResult]:
    """Run one job and close, as a short script does."""
    result = await TestJob.now({"message": "Hello"})
    await backend.shutdown()
    return result


async def test_the_snippet_about_unit_tests() -> None:
    class Input(BaseModel):
        input: str

    class Output(BaseModel):
        output: str

    async def handler(params: Input, context: JobContext) -> Output:
        return Output(output=params.input.upper())

    job = define_job(name="TestJob", params=Input, result=Output, handler=handler)
    registry = create_job_registry().register(job)
    backend = InMemoryBackend(database={}, job_registry=registry, lock_timeout=timedelta(minutes=5))
    assert backend.config.lease == timedelta(minutes=5)
    await backend.initialize()

    job_id = backend.add_job(job_name="TestJob", params={"input": "hello"})
    claimed_jobs = (await backend.poll_and_claim()).claimed_jobs
    assert len(claimed_jobs) == 1
    result = await backend.execute(claimed_jobs[0])
    assert result.success is True
    assert (await read(backend, job_id)).result == '{"output":"HELLO"}'


# --- Testing with Cloudflare Locally ---------------------------------------------------------------------------------


async def test_a_worker_entry_of_ones_own(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as queue:
        job_id = await TestJob.later({"message": "Test from CLI"})
        backend = CloudflareWorkerBackend(
            database=queue.store,
            job_registry=create_job_registry().register(TestJob),
            max_concurrency=5,
            lock_timeout=timedelta(minutes=5),
        )
        assert backend.config.lease == timedelta(minutes=5)
        await backend.initialize()
        await backend.handle_cron()
        assert await job_id.status() is JobStatus.COMPLETED


async def test_trigger_and_status_over_http(tmp_path: Path) -> None:
    token = new_token()
    async with on_sqlite(tmp_path) as backend:
        await TestJob.later({"message": "Test from CLI"})
        closed, opened = [under_prefix(create_app(backend, Tokens(*tokens))) for tokens in ((), (token,))]

        async def ask(app: ASGIApp, method: str, path: str) -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return await client.request(method, path, headers={"authorization": f"Bearer {token}"})

        assert (await ask(closed, "POST", "/_jobs/trigger")).status_code == 404
        triggered = await ask(opened, "POST", "/_jobs/trigger")
        assert (triggered.status_code, triggered.json()["status"]) == (200, "triggered")
        assert '"completed"' in (await ask(opened, "GET", "/_jobs/status")).text


# --- Testing Cron Triggers in CI -------------------------------------------------------------------------------------


async def test_should_process_queued_jobs_on_cron_trigger() -> None:
    backend = InMemoryBackend(database={}, job_registry=create_job_registry().register(TestJob))
    await backend.initialize()
    backend.add_job(job_name="TestJob", params={"message": "Job 1"})
    backend.add_job(job_name="TestJob", params={"message": "Job 2"})

    claimed_jobs = (await backend.poll_and_claim(10)).claimed_jobs
    assert len(claimed_jobs) == 2
    results = await asyncio.gather(*(backend.execute(job) for job in claimed_jobs))
    assert all(result.success for result in results)


async def test_should_respect_max_concurrency_limit() -> None:
    backend = InMemoryBackend(database={}, job_registry=create_job_registry().register(TestJob), max_concurrency=2)
    await backend.initialize()
    for number in range(5):
        backend.add_job(job_name="TestJob", params={"message": f"Job {number}"})

    poll = await backend.poll_and_claim()
    assert len(poll.claimed_jobs) == 2
    assert poll.available_count == 3


# --- Monitoring & Debugging ------------------------------------------------------------------------------------------


async def test_the_queries_about_the_state_of_the_queue(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path):
        await SendEmailJob.batch([HELLO, HELLO, HELLO | {"to": "nobody@example.com"}])
        recent = execute(
            tmp_path,
            "SELECT job_name, status, progress, created_at, completed_at, error FROM jobs"
            " ORDER BY created_at DESC LIMIT 20",
        )
        assert len(recent) == 3
        statistics = execute(
            tmp_path,
            "SELECT job_name, status, COUNT(*), AVG(completed_at - created_at) FROM jobs"
            " WHERE completed_at IS NOT NULL GROUP BY job_name, status",
        )
        ((job_name, status, count, average),) = statistics
        assert (job_name, status, count) == ("SendEmail", "completed", 2)
        assert 0 <= average < 60_000
        ((failure_rate,),) = execute(
            tmp_path,
            "SELECT COUNT(CASE WHEN status = 'failed' THEN 1 END) * 100.0 / COUNT(*) FROM jobs"
            " WHERE created_at > (unixepoch() - 3600) * 1000",
        )
        assert failure_rate == 0  # the third will be tried again


# --- Production Best Practices ---------------------------------------------------------------------------------------


async def test_correlation_ids(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        job_id = await TestJob.later({"message": "test"}, correlation_id="request-7")
        assert (await read(backend, job_id)).correlation_id == "request-7"


async def test_max_attempts_are_three_by_default(tmp_path: Path) -> None:
    async with on_sqlite(tmp_path) as backend:
        assert (await read(backend, await TestJob.later({"message": "test"}))).max_attempts == 3
        job_id = await SendEmailJob.later(HELLO | {"to": "nobody@example.com"}, max_attempts=2)
        for attempt in (1, 2):
            result = await SendEmailJob.execute_from_database(job_id)
            assert (result.ok, result.metadata.attempt_count) == (False, attempt)
        assert result.metadata.status is JobStatus.FAILED
        with pytest.raises(JobUnavailableError, match="it is failed"):
            await SendEmailJob.execute_from_database(job_id)


def execute(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL as in the `sqlite3` shell."""
    connection = sqlite3.connect(folder / "local.db")
    with connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows
