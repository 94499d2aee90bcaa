"""The backend without a database, for tests and experiments."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from server_jobs import (
    InvalidOptionError,
    InvalidParamsError,
    JobOptions,
    JobStatus,
    Schedule,
    UnknownJobError,
    Worker,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.domain.ids import schedule_id
from server_jobs.domain.record import JobQuery
from server_jobs.memory import InMemoryBackend
from server_jobs.testing import FakeClock
from server_jobs.testing import InMemoryBackend as InMemoryBackendForTests

from tests.runtime.example_jobs import SECOND, Gate, Text, TextJob, echo, status_of, text_job, turns, until


def memory_of(*jobs: TextJob, clock: FakeClock | None = None) -> InMemoryBackend:
    """Return a backend in memory with these jobs."""
    registry = create_job_registry()
    for job in jobs:
        registry.register(job)
    return InMemoryBackend(job_registry=registry, clock=clock)


async def test_a_job_is_added_by_name_without_awaiting() -> None:
    backend = memory_of(text_job(echo))
    job_id = backend.add_job(job_name="Echo", params={"text": "a"})
    assert await status_of(backend, job_id) is JobStatus.PENDING
    assert (await tick(backend)).completed == 1


async def test_a_job_that_is_unknown_or_does_not_fit_is_not_added() -> None:
    backend = memory_of(text_job(echo))
    with pytest.raises(UnknownJobError, match="'Ecko' is registered; registered: Echo"):
        backend.add_job(job_name="Ecko", params={"text": "a"})
    with pytest.raises(InvalidParamsError, match="/text: Field required"):
        backend.add_job(job_name="Echo", params={})
    assert await backend.store.count_jobs() == []


async def test_a_job_is_added_with_the_options_of_later() -> None:
    clock = FakeClock()
    backend = memory_of(text_job(echo, options=JobOptions(unique_by=("/text",))), clock=clock)
    first = backend.add_job(
        job_name="Echo", params=Text(text="a"), delay=SECOND, priority=3, max_attempts=9, correlation_id="request-7"
    )
    assert backend.add_job(job_name="Echo", params={"text": "a"}) == first
    (record,) = await backend.store.list_jobs(JobQuery())
    assert record.scheduled_for == clock.now() + SECOND
    assert (record.priority, record.max_attempts, record.correlation_id) == (3, 9, "request-7")


async def test_an_option_there_is_not_is_refused_with_the_nearest_one() -> None:
    backend = memory_of(text_job(echo))
    with pytest.raises(InvalidOptionError, match="no option 'max_atempts'; did you mean 'max_attempts'"):
        backend.add_job(job_name="Echo", params={"text": "a"}, max_atempts=9)  # type: ignore[call-arg]  # on purpose
    assert await backend.store.count_jobs() == []


async def test_the_database_is_handed_to_handlers_as_it_is() -> None:
    gate, database = Gate(), object()
    gate.opened.set()
    backend = InMemoryBackend(database=database, job_registry=create_job_registry().register(text_job(gate)))
    backend.add_job(job_name="Echo", params={"text": "a"})
    await tick(backend)
    assert gate.contexts[0].database is database
    assert backend.config.database is database
    assert backend.name == "memory"


async def test_an_added_job_wakes_the_worker() -> None:
    backend = InMemoryBackend(
        job_registry=create_job_registry().register(text_job(echo)), poll_interval=timedelta(hours=1)
    )
    worker = Worker(backend)
    task = asyncio.create_task(worker.run())
    await turns()
    job_id = backend.add_job(job_name="Echo", params={"text": "a"})
    await turns()
    assert await status_of(backend, job_id) is JobStatus.COMPLETED
    worker.stop()
    await until(task)


async def test_the_schedules_of_the_jobs_are_there_without_a_migration() -> None:
    clock = FakeClock(datetime(2026, 1, 1, 12, 30, tzinfo=UTC))
    schedule = Schedule(name="hourly", cron="0 * * * *", params='{"text":"scheduled"}')
    job = define_job(name="Report", params=Text, result=Text, handler=echo, schedules=[schedule])
    backend = memory_of(job, clock=clock)
    await backend.initialize()
    assert [stored.id for stored in await backend.store.list_schedules()] == [schedule_id("Report", "hourly")]
    await tick(backend)
    clock.advance(timedelta(minutes=30))
    assert (await tick(backend)).completed == 1
    assert (await tick(backend)).scheduled == 0
    await backend.initialize()
    (stored,) = await backend.store.list_schedules()
    assert stored.last_run_at == datetime(2026, 1, 1, 13, tzinfo=UTC)


async def test_two_backends_share_nothing() -> None:
    job = text_job(echo)
    first, second = memory_of(job), memory_of(job)
    first.add_job(job_name="Echo", params={"text": "a"})
    assert (await second.poll_and_claim()).claimed_jobs == ()
    assert len((await first.poll_and_claim()).claimed_jobs) == 1


def test_the_module_for_tests_has_it_too() -> None:
    assert InMemoryBackendForTests is InMemoryBackend
