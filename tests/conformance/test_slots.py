"""Slots of schedules: the handler of a slot knows its planned time in every attempt."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel
from server_jobs import (
    JobContext,
    JobOptions,
    JobStatus,
    OnConflict,
    RetryPolicy,
    Schedule,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobQuery
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.job import AnyJob
from server_jobs.testing import FakeClock

from tests.conformance.examples import START

HOUR = timedelta(hours=1)


class Nothing(BaseModel):
    """Params and result."""


class Slots:
    """A handler that fails, and records the slot and the correlation id of each attempt."""

    def __init__(self) -> None:
        self.seen: list[tuple[datetime | None, str | None]] = []

    async def __call__(self, params: Nothing, context: JobContext) -> Nothing:
        self.seen.append((context.slot, context.correlation_id))
        raise ValueError(params)


def hourly(slots: Slots, options: JobOptions | None = None) -> AnyJob:
    """Return a job whose attempts fail, with an hourly schedule."""
    at_once = JobOptions(max_attempts=2, retry=RetryPolicy(initial=timedelta(0), jitter=0))
    schedules = [Schedule(name="hourly", cron="0 * * * *")]
    return define_job(
        name="Report",
        params=Nothing,
        result=Nothing,
        handler=slots,
        options=options or at_once,
        schedules=schedules,
    )


async def planned(store: Store, clock: FakeClock, job: AnyJob) -> PollingBackend:
    """Return a backend that has planned the schedule of this job."""
    backend = PollingBackend(database=store, job_registry=create_job_registry().register(job), clock=clock)
    backend.registry.bind(backend)
    await backend.execution.scheduler.declare()
    await backend.execution.scheduler.tick()
    return backend


async def test_the_handler_of_a_slot_knows_it_in_every_attempt(store: Store, clock: FakeClock) -> None:
    slots = Slots()
    backend = await planned(store, clock, hourly(slots))
    clock.advance(HOUR + timedelta(seconds=20))
    (job_id,) = await backend.execution.scheduler.tick()

    await backend.poll_and_claim(1)  # by a worker that dies
    clock.advance(2 * HOUR)
    await backend.handle_expired_locks()
    await backend.registry.find("Report").job.schedule("hourly").pause()
    clock.advance(HOUR)
    assert (await tick(backend)).failed == 1
    await store.retry(job_id)
    assert (await tick(backend)).failed == 2

    assert slots.seen == [(START + HOUR, "Report/hourly")] * 3


async def test_jobs_that_no_slot_made_have_none(store: Store, clock: FakeClock) -> None:
    slots = Slots()
    job = hourly(slots, JobOptions(max_attempts=1))
    backend = await planned(store, clock, job)
    await job.schedule("hourly").run()
    await job.later({}, correlation_id="Report/hourly", scheduled_for=START)
    await job.later({})

    await tick(backend)

    assert slots.seen == [(None, "Report/hourly"), (None, "Report/hourly"), (None, None)]


async def test_a_job_that_took_the_place_of_a_slot_has_none(store: Store, clock: FakeClock) -> None:
    slots = Slots()
    job = hourly(slots, JobOptions(max_attempts=1, unique_by=("",)))
    backend = await planned(store, clock, job)
    clock.advance(HOUR)
    (job_id,) = await backend.execution.scheduler.tick()

    replacing = await job.later({}, on_conflict=OnConflict.REPLACE)
    await tick(backend)

    assert replacing == job_id
    assert slots.seen == [(None, None)]


async def test_the_runs_of_a_schedule_are_found_by_its_label(store: Store, clock: FakeClock) -> None:
    backend = await planned(store, clock, hourly(Slots()))
    for _ in range(2):
        clock.advance(HOUR)
        await backend.execution.scheduler.tick()

    found = await store.list_jobs(JobQuery(correlation_id="Report/hourly", status=JobStatus.PENDING))

    assert [one.scheduled_for for one in found] == [START + 2 * HOUR, START + HOUR]
