"""The backend: a registry and a store that run jobs, with the calls of the original's `WorkerBackend`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs import (
    ConcurrencyLimit,
    DatabaseError,
    HandlerMissingError,
    InvalidOptionError,
    Job,
    JobContext,
    JobNotFoundError,
    JobOptions,
    JobStatus,
    JobUnavailableError,
    SchemaMissingError,
    StaleClaimError,
    UnknownJobError,
    connect,
    create_job_registry,
)
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record import Claim, ClaimRequest, JobQuery, NewJob, Settlement
from server_jobs.engine.backend import Backend, WorkerBackendConfig
from server_jobs.engine.worker_backend import PollingBackend, PollResult, WorkerBackend
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.stores import create_sqlite_file
from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import (
    SECOND,
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


def sqlite_threads() -> set[threading.Thread]:
    """Return the threads of SQLite connections. One that another test forgot may end at any moment."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("server-jobs-sqlite")}


def bound(job: AnyJob) -> object:
    """Return the backend that a job class uses."""
    return job.backend


# --- what it is made of ----------------------------------------------------------------------------------------------


def test_a_backend_shows_its_database_and_registry() -> None:
    registry, store = create_job_registry(), MemoryStore()
    backend: WorkerBackend = PollingBackend(database=store, job_registry=registry)
    assert backend.name == "memory"
    assert backend.config == WorkerBackendConfig(
        database=store,
        job_registry=registry,
        max_concurrency=5,
        lease=timedelta(seconds=60),
        poll_interval=timedelta(seconds=1),
    )


def test_a_database_is_a_store_a_database_or_a_url(tmp_path: Path) -> None:
    registry = create_job_registry()
    database = SqliteDatabase(tmp_path / "jobs.sqlite3")
    store = SqlStore(database)
    assert Backend(database=store, job_registry=registry).store is store
    for given in (database, f"sqlite:///{tmp_path}/jobs.sqlite3"):
        backend = Backend(database=given, job_registry=registry)
        assert (backend.name, backend.config.database) == ("sqlite", given)
        assert isinstance(backend.store, SqlStore)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_concurrency": 0}, "max_concurrency must be between 1 and 10000, not 0"),
        ({"lease": timedelta(0)}, "lease must be longer than zero, not 0:00:00"),
        ({"poll_interval": timedelta(seconds=-1)}, "poll_interval must be longer than zero"),
        (
            {"database": object()},
            "database must be a store, a database or a URL such as .*, not a value of type object",
        ),
        ({"database": "oracle://host/db"}, "'oracle://host/db' is not supported"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"database": MemoryStore(), "job_registry": create_job_registry()} | options
    with pytest.raises(InvalidOptionError, match=message):
        Backend(**arguments)  # type: ignore[arg-type]  # on purpose


# --- opening and closing ---------------------------------------------------------------------------------------------


async def test_a_database_without_our_tables_is_refused_and_closed(tmp_path: Path) -> None:
    before = sqlite_threads()
    backend = Backend(database=f"sqlite:///{tmp_path}/empty.sqlite3", job_registry=create_job_registry())
    with pytest.raises(SchemaMissingError, match="run `server-jobs migrate`"):
        await backend.initialize()
    assert sqlite_threads() <= before


async def test_connect_binds_every_job_until_its_block_ends(tmp_path: Path) -> None:
    before = sqlite_threads()
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    job = text_job(echo)
    registry = create_job_registry().register(job)
    async with connect(registry, f"sqlite:///{tmp_path}/jobs.sqlite3", max_concurrency=2) as backend:
        assert bound(job) is backend
        assert backend.config.max_concurrency == 2
        assert (await job.now(PARAMS)).ok
    assert bound(job) is None
    assert sqlite_threads() <= before


async def test_connect_takes_the_url_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", f"sqlite:///{tmp_path}/jobs.sqlite3")
    async with connect(create_job_registry()) as backend:
        assert backend.config.database == f"sqlite:///{tmp_path}/jobs.sqlite3"
        assert (await backend.health_check()).ok


async def test_connect_uses_a_file_in_this_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_sqlite_file(tmp_path / "server-jobs.sqlite3")
    monkeypatch.delenv("SERVER_JOBS_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    async with connect(create_job_registry()) as backend:
        assert (await backend.health_check()).ok


async def test_health_comes_from_the_store() -> None:
    store = FaultyStore()
    backend = backend_on(store)
    health = await backend.health_check()
    assert (health.ok, health.detail) == (True, "memory answers")
    store.break_down("ping")
    health = await backend.health_check()
    assert (health.ok, health.detail) == (False, "the database is away (ping)")


async def test_health_of_a_database_without_our_tables_has_advice(tmp_path: Path) -> None:
    backend = Backend(database=f"sqlite:///{tmp_path}/empty.sqlite3", job_registry=create_job_registry())
    health = await backend.health_check()
    assert not health.ok
    assert "server-jobs migrate" in health.detail


async def test_shutdown_releases_claimed_and_running_jobs() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    claimed, running = [str(handle) for handle in await job.later_many([PARAMS] * 2)]
    claims = {claim.id: claim for claim in (await backend.poll_and_claim()).claimed_jobs}
    task = asyncio.create_task(backend.execute(claims[running]))
    await turns()
    await backend.shutdown()
    assert not (await task).success
    for job_id in (claimed, running):
        record = await read(backend, job_id)
        assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_shutdown_does_not_wait_for_a_handler_that_never_ends() -> None:
    never, go_on = Gate(), asyncio.Event()

    async def stubborn(params: Text, context: JobContext) -> Text:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                never.cancelled += 1
        return params

    job = text_job(stubborn)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    task = asyncio.create_task(backend.execute((await backend.poll_and_claim()).claimed_jobs[0]))
    await turns()
    await asyncio.wait_for(backend.shutdown(), 5)
    assert never.cancelled == 1
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    go_on.set()
    assert not (await task).success
    assert (await read(backend, job_id)).result is None


async def test_shutdown_ends_although_the_database_is_away(caplog: pytest.LogCaptureFixture) -> None:
    gate, store = Gate(), FaultyStore()
    job = text_job(gate)
    backend = backend_on(store, job)
    await job.later_many([PARAMS] * 2)
    claims = (await backend.poll_and_claim()).claimed_jobs
    task = asyncio.create_task(backend.execute(claims[0]))
    await turns()
    store.break_down("settle")
    await asyncio.wait_for(backend.shutdown(), 5)
    assert f"{claims[0].id} is over, and its outcome could not be stored so far" in caplog.text
    assert f"{claims[1].id} could not be released and waits until its lease expires" in caplog.text
    task.cancel()


# --- claiming --------------------------------------------------------------------------------------------------------


async def test_a_poll_claims_as_many_as_may_run_at_once_or_as_asked() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job, max_concurrency=2)
    await job.later_many([PARAMS] * 10)
    first = await backend.poll_and_claim()
    assert (len(first.claimed_jobs), first.available_count) == (2, 8)
    second = await backend.poll_and_claim(5)
    assert (len(second.claimed_jobs), second.available_count) == (5, 3)
    third = await backend.poll_and_claim(0)
    assert (third.claimed_jobs, third.available_count) == ((), 3)


async def test_a_negative_limit_is_refused_since_sqlite_would_take_it_for_none() -> None:
    with pytest.raises(InvalidOptionError, match="limit must be at least 0, not -1"):
        await backend_on(MemoryStore(), text_job(echo)).poll_and_claim(-1)


async def test_only_jobs_that_are_due_are_counted_as_available() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    await job.later(PARAMS, delay=timedelta(hours=1))
    assert (await backend.poll_and_claim()).available_count == 0


@pytest.mark.parametrize(
    "new",
    [NewJob(id="j", job_name="Other", params="{}"), NewJob(id="j", job_name="Echo", params="{}", spec_version=2)],
    ids=["name", "version"],
)
async def test_unknown_names_and_versions_stay_pending(new: NewJob) -> None:
    backend = backend_on(MemoryStore(), text_job(echo))
    await backend.store.insert([new])
    assert await backend.poll_and_claim() == PollResult((), available_count=0)
    assert await status_of(backend, "j") is JobStatus.PENDING


async def test_a_concurrency_limit_holds_over_all_claims() -> None:
    limited, free = text_job(echo, "Limited", JobOptions(concurrency=ConcurrencyLimit(limit=2))), text_job(echo, "Free")
    backend = backend_on(MemoryStore(), limited, free, max_concurrency=10)
    await limited.later_many([PARAMS] * 5)
    await free.later_many([PARAMS] * 3)
    first = (await backend.poll_and_claim()).claimed_jobs
    assert sorted(claim.job_name for claim in first) == ["Free"] * 3 + ["Limited"] * 2
    assert (await backend.poll_and_claim()).claimed_jobs == ()
    await backend.execute(next(claim for claim in first if claim.job_name == "Limited"))
    assert len((await backend.poll_and_claim()).claimed_jobs) == 1


async def test_claims_of_a_cancelled_caller_are_released() -> None:
    answered = asyncio.Event()

    class SlowStore(FaultyStore):
        async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
            claims = await super().claim(request)
            await answered.wait()
            return claims

    job = text_job(echo)
    backend = backend_on(SlowStore(), job)
    job_id = await job.later(PARAMS)
    task = asyncio.create_task(backend.poll_and_claim())
    await turns()
    assert await status_of(backend, job_id) is JobStatus.RUNNING
    task.cancel()
    await turns()
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


@pytest.mark.parametrize("call", ["now", "execute_from_database"])
async def test_claims_under_way_for_a_cancelled_caller_are_released(call: str) -> None:
    answered = asyncio.Event()

    class SlowStore(FaultyStore):
        async def start(self, job: NewJob, lease: timedelta) -> Claim:
            claim = await super().start(job, lease)
            await answered.wait()
            return claim

        async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
            claim = await super().claim_one(job_id, request)
            await answered.wait()
            return claim

    gate = Gate()
    job = text_job(gate)
    backend = backend_on(SlowStore(), job)
    run = job.now(PARAMS) if call == "now" else job.execute_from_database(await job.later(PARAMS))
    task = asyncio.create_task(run)
    await turns()
    (running,) = await backend.store.list_jobs(JobQuery(limit=10))
    assert running.status is JobStatus.RUNNING
    task.cancel()
    await turns()
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await read(backend, running.id)
    assert (record.status, record.attempt_count, gate.contexts) == (JobStatus.PENDING, 0, [])


async def test_a_claim_that_fails_after_its_caller_was_cancelled_makes_no_noise() -> None:
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    answered = asyncio.Event()

    class SlowStore(FaultyStore):
        async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
            await answered.wait()
            raise DatabaseError("the connection was lost")

    backend = backend_on(SlowStore(), text_job(echo))
    task = asyncio.create_task(backend.poll_and_claim())
    await turns()
    task.cancel()
    await turns()
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert noise == []


async def test_a_first_call_that_is_cancelled_does_not_close_the_store_of_the_others(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    job = text_job(echo)
    backend = Backend(database=f"sqlite:///{tmp_path}/jobs.sqlite3", job_registry=create_job_registry().register(job))
    job.bind(backend)
    calls = [asyncio.create_task(job.later(PARAMS)) for _ in range(4)]
    await asyncio.sleep(0)
    calls[0].cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["CancelledError", "JobHandle", "JobHandle", "JobHandle"]
    await backend.shutdown()


async def test_the_last_first_call_that_is_cancelled_closes_the_store() -> None:
    notes: list[str] = []

    class SlowStore(FaultyStore):
        async def open(self) -> None:
            notes.append("open")
            await asyncio.Event().wait()

        async def close(self) -> None:
            notes.append("close")

    backend = backend_on(SlowStore(), text_job(echo))
    calls = [asyncio.create_task(backend.initialize()) for _ in range(2)]
    for call in calls:
        await turns()
        call.cancel()
        await asyncio.wait([call])
        notes.append("cancelled")
    assert notes == ["open", "open", "cancelled", "close", "cancelled"]


async def test_polls_together_claim_no_more_than_may_run_at_once() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job, max_concurrency=3)
    await job.later_many([PARAMS] * 10)
    first, *others = (await backend.poll_and_claim()).claimed_jobs
    assert len(others) == 2
    assert (await backend.poll_and_claim()).claimed_jobs == ()
    task = asyncio.create_task(backend.execute(first))
    await turns()
    assert (await backend.poll_and_claim()).claimed_jobs == ()
    gate.opened.set()
    await until(task)
    assert len((await backend.poll_and_claim()).claimed_jobs) == 1
    await backend.release_lock(others[0].id)
    assert len((await backend.poll_and_claim()).claimed_jobs) == 1


# --- running ---------------------------------------------------------------------------------------------------------


async def test_the_context_identifies_the_attempt() -> None:
    gate = Gate()
    gate.opened.set()
    job = text_job(gate, options=retried_at_once())
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS, correlation_id="request-7")
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    await backend.release_lock(job_id)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    await backend.execute(claim)
    (context,) = gate.contexts
    assert (context.job_id, context.job_name, context.attempt) == (job_id, "Echo", 1)
    assert (context.correlation_id, context.idempotency_key) == ("request-7", job_id)
    assert context.database is backend.config.database
    assert context.jobs is not None
    assert await context.jobs.get(job_id) is not None


async def test_executing_a_claim_tells_how_it_went() -> None:
    good, bad = text_job(echo, "Good"), text_job(fail, "Bad")
    backend = backend_on(MemoryStore(), good, bad)
    for job, success in ((good, True), (bad, False)):
        job_id = await job.later(PARAMS)
        result = await backend.execute((await backend.poll_and_claim()).claimed_jobs[0])
        assert (result.job_id, result.success, result.error is None) == (job_id, success, success)
        assert result.duration >= timedelta(0)


async def test_executing_a_claim_that_was_lost_says_so_and_changes_nothing() -> None:
    clock, job = FakeClock(), text_job(echo)
    backend = backend_on(None, job, clock=clock, lease=SECOND)
    job_id = await job.later(PARAMS)
    (old,) = (await backend.poll_and_claim()).claimed_jobs
    clock.advance(2 * SECOND)
    (expired,) = await backend.handle_expired_locks()
    assert (expired.id, expired.status) == (job_id, JobStatus.PENDING)
    clock.advance(2 * SECOND)
    (new,) = (await backend.poll_and_claim()).claimed_jobs
    result = await backend.execute(old)
    assert (result.success, result.error) == (False, str(StaleClaimError(job_id)))
    assert (await read(backend, job_id)).fencing_token == new.token
    assert (await backend.execute(new)).success


@pytest.mark.parametrize(
    "end", [PollingBackend.execute, lambda backend, claim: backend.release_lock(claim.id)], ids=["settled", "released"]
)
async def test_a_claim_that_was_settled_or_released_is_not_run(
    end: Callable[[PollingBackend, Claim], Awaitable[object]],
) -> None:
    gate = Gate()
    gate.opened.set()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    await end(backend, claim)
    runs, record = len(gate.contexts), await read(backend, job_id)
    again = await backend.execute(claim)
    assert (again.success, again.error) == (False, str(StaleClaimError(job_id)))
    assert len(gate.contexts) == runs
    assert await read(backend, job_id) == record


async def test_a_claim_that_runs_is_not_run_twice() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(MemoryStore(), job)
    await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    task = asyncio.create_task(backend.execute(claim))
    await turns()
    assert not (await asyncio.wait_for(backend.execute(claim), 5)).success
    gate.opened.set()
    assert (await task).success
    assert len(gate.contexts) == 1


async def test_claims_that_expired_unexecuted_leave_their_room_to_others() -> None:
    clock = FakeClock()
    job = text_job(echo)
    backend = backend_on(None, job, clock=clock, lease=SECOND, max_concurrency=2)
    await job.later_many([PARAMS] * 2)
    abandoned = (await backend.poll_and_claim()).claimed_jobs

    clock.advance(2 * SECOND)
    assert len(await backend.handle_expired_locks()) == 2
    clock.advance(2 * SECOND)

    assert len((await backend.poll_and_claim()).claimed_jobs) == 2
    assert not (await backend.execute(abandoned[0])).success


async def test_a_claim_of_a_job_not_registered_here_is_refused() -> None:
    job = text_job(echo)
    backend, other = backend_on(MemoryStore(), job), backend_on(MemoryStore())
    await job.using(backend).later(PARAMS)
    with pytest.raises(UnknownJobError, match="no job named 'Echo' is registered; registered: none"):
        await other.execute((await backend.poll_and_claim()).claimed_jobs[0])


async def test_a_claimed_job_can_be_released_once() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    assert not await backend.release_lock(job_id)
    await backend.poll_and_claim()
    assert await backend.release_lock(job_id)
    assert not await backend.release_lock(job_id)
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


async def test_an_old_attempt_that_ends_does_not_forget_the_newer_claim() -> None:
    clock, gate = FakeClock(), Gate()
    job = text_job(gate)
    backend = backend_on(None, job, clock=clock, lease=SECOND)
    job_id = await job.later(PARAMS)
    task = asyncio.create_task(backend.execute((await backend.poll_and_claim()).claimed_jobs[0]))
    await turns()
    clock.advance(5 * SECOND)
    await backend.store.expire(jitter=timedelta(0))
    (newer,) = (await backend.poll_and_claim()).claimed_jobs
    gate.opened.set()
    await until(task)
    assert not (await task).success
    assert await backend.release_lock(job_id)
    assert newer.id == job_id
    assert await status_of(backend, job_id) is JobStatus.PENDING


async def test_an_expired_lock_is_taken_away_and_reported() -> None:
    clock, job = FakeClock(), text_job(echo, options=JobOptions(max_attempts=1))
    backend = backend_on(None, job, clock=clock, lease=SECOND)
    job_id = await job.later(PARAMS)
    await backend.poll_and_claim()
    clock.advance(SECOND)
    assert await backend.handle_expired_locks() == []
    clock.advance(SECOND)
    assert [expired.status for expired in await backend.handle_expired_locks()] == [JobStatus.FAILED]
    assert (await read(backend, job_id)).error == "the worker died or stalled: its lease expired in attempt 1 of 1"


async def test_a_run_whose_lease_was_lost_raises_an_error() -> None:
    clock, gate = FakeClock(), Gate()
    job = text_job(gate)
    backend = backend_on(None, job, clock=clock)
    task = asyncio.create_task(job.now(PARAMS, worker_timeout=SECOND))
    await turns()
    clock.advance(5 * SECOND)
    await backend.store.expire(jitter=timedelta(0))
    gate.opened.set()
    with pytest.raises(StaleClaimError, match="nothing was written"):
        await task


async def test_a_caller_cancelled_when_its_job_is_done_does_not_undo_it() -> None:
    release = asyncio.Event()

    class SlowStore(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            await release.wait()
            return await super().settle(settlements)

    job = text_job(echo)
    backend = backend_on(SlowStore(), job)
    task = asyncio.create_task(job.now(PARAMS))
    await turns()
    (attempt,) = backend.execution.runner.attempts()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    await turns()
    assert await status_of(backend, attempt.claim.id) is JobStatus.COMPLETED


# --- running one job by hand -----------------------------------------------------------------------------------------


class Handlerless(Job[Text, Text, Mapping[str, object]]):
    """A job that is only enqueued here."""

    job_name = "Handlerless"
    spec_name = "handlerless"
    params_model = Text
    result_model = Text


async def test_a_job_without_a_handler_is_enqueued_but_never_stored_as_running() -> None:
    backend = backend_on(MemoryStore(), Handlerless)
    job_id = await Handlerless.later(PARAMS)
    with pytest.raises(HandlerMissingError):
        await Handlerless.now(PARAMS)
    with pytest.raises(HandlerMissingError):
        await Handlerless.now(PARAMS, persist=False)
    with pytest.raises(HandlerMissingError):
        await Handlerless.execute_from_database(job_id)
    assert [count.status for count in await backend.store.count_jobs()] == [JobStatus.PENDING]
    Handlerless.bind(None)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (NewJob(id="j", job_name="Other", params="{}"), "it is a job of Other, not of Echo"),
        (NewJob(id="j", job_name="Echo", params="{}", spec_version=2), "it is of version 2; here is version 1"),
    ],
)
async def test_a_stored_job_of_another_name_or_version_is_not_run(new: NewJob, message: str) -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    await backend.store.insert([new])
    with pytest.raises(JobUnavailableError, match=message):
        await job.execute_from_database("j")
    with pytest.raises(JobNotFoundError, match="there is no job with the id 'nothing'"):
        await job.execute_from_database("nothing")
    assert await status_of(backend, "j") is JobStatus.PENDING


async def test_a_lease_must_last() -> None:
    job = text_job(echo)
    backend_on(MemoryStore(), job)
    for run in (job.now(PARAMS, worker_timeout=timedelta(0)), job.execute_from_database("j", worker_timeout=-SECOND)):
        with pytest.raises(InvalidOptionError, match="worker_timeout must be longer than zero"):
            await run


async def test_a_claim_names_its_job() -> None:
    job = text_job(echo)
    backend = backend_on(MemoryStore(), job)
    job_id = await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    assert isinstance(claim, Claim)
    assert (claim.id, claim.job_name) == (job_id, "Echo")
    assert await status_of(backend, job_id) is JobStatus.RUNNING
