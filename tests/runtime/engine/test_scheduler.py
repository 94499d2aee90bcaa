"""Slots of schedules become jobs: once each, with the options and checks of any job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import field_validator
from server_jobs import (
    DatabaseError,
    JobOptions,
    JobStatus,
    Misfire,
    Schedule,
    Worker,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.domain.ids import schedule_id, slot_job_id
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Firing, JobQuery, JobRecord, ScheduleRecord
from server_jobs.engine.backend import Backend
from server_jobs.engine.maintenance import Maintenance
from server_jobs.engine.scheduler import Scheduler
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.conformance.stores import OpenStore, open_d1, open_memory, open_sqlite
from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import Gate, Text, TextJob, backend_on, echo

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

every_store = pytest.mark.parametrize("open_store", [open_memory, open_sqlite], ids=["memory", "sqlite"])


def hourly(
    misfire: Misfire = Misfire.FIRE_ONCE, options: JobOptions | None = None, handler: Gate | None = None
) -> TextJob:
    """Return a job with an hourly schedule."""
    return define_job(
        name="Report",
        params=Text,
        result=Text,
        handler=handler or echo,
        options=options,
        schedules=[Schedule(name="hourly", cron="0 * * * *", misfire=misfire, params='{"text":"scheduled"}')],
    )


async def save(store: Store, job: AnyJob, **changes: object) -> ScheduleRecord:
    """Store the schedule of a job, as a migration does, with manual changes."""
    (schedule,) = job.schedules
    values = {
        "id": schedule_id(job.job_name, schedule.name),
        "job_name": job.job_name,
        "name": schedule.name,
        "cron_expression": schedule.cron,
        "timezone": schedule.timezone,
        "misfire": schedule.misfire.value,
        "params": schedule.params,
    }
    record = ScheduleRecord(**(values | changes))  # type: ignore[arg-type]  # the names are checked when it runs
    await store.save_schedules([record])
    return record


async def jobs_in(store: Store) -> list[JobRecord]:
    """Return every job, oldest first."""
    return list(reversed(await store.list_jobs(JobQuery(limit=1000))))


async def ticks(backend: Backend, clock: FakeClock, duration: timedelta, step: timedelta = MINUTE) -> int:
    """Let time pass with a tick in every step, and return how many jobs were created."""
    made = 0
    for _ in range(duration // step):
        clock.advance(step)
        made += len(await backend.execution.scheduler.tick())
    return made


@every_store
async def test_a_slot_becomes_one_job_with_the_params_of_its_schedule(open_store: OpenStore) -> None:
    clock, job = FakeClock(NOON - 10 * MINUTE), hourly(options=JobOptions(queue="reports", priority=7, max_attempts=2))
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job)
        assert await backend.execution.scheduler.tick() == []
        assert await ticks(backend, clock, 9 * MINUTE) == 0
        assert await ticks(backend, clock, 30 * MINUTE) == 1
        (record,) = await jobs_in(store)
        assert (record.scheduled_for, record.status) == (NOON, JobStatus.PENDING)
        assert json.loads(record.params) == {"text": "scheduled"}
        assert (record.queue, record.priority, record.max_attempts) == ("reports", 7, 2)
        (schedule,) = await store.list_schedules()
        assert (schedule.last_run_at, schedule.next_run_at) == (NOON, NOON + HOUR)
        assert schedule.last_job_id == record.id


@every_store
async def test_two_schedulers_make_one_job_of_each_slot(open_store: OpenStore) -> None:
    clock, job = FakeClock(NOON), hourly()
    async with open_store(clock) as store:
        await save(store, job)
        backend = backend_on(store, job, clock=clock)
        second = Scheduler(store, backend.registry)
        for _ in range(5):
            await backend.execution.scheduler.tick()
            await second.tick()
            clock.advance(HOUR)
        assert [record.scheduled_for for record in await jobs_in(store)] == [NOON + hour * HOUR for hour in range(1, 5)]


class RacingStore(MemoryStore):
    """A store that both schedulers read before one of them fires."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.both = asyncio.Barrier(2)

    async def fire(self, firing: Firing) -> Sequence[bool]:
        await self.both.wait()
        return await super().fire(firing)


async def test_two_schedulers_that_fire_at_the_same_time_make_one_job() -> None:
    clock, job = FakeClock(NOON), hourly()
    store = RacingStore(clock)
    schedule = await save(store, job)
    schedulers = [Scheduler(store, backend_on(store, job, clock=clock).registry) for _ in range(2)]
    await asyncio.gather(*(scheduler.tick() for scheduler in schedulers))
    clock.advance(HOUR)
    fired = await asyncio.gather(*(scheduler.tick() for scheduler in schedulers))
    assert sorted(fired) == [[], [slot_job_id(schedule.id, NOON + HOUR)]]
    assert len(await jobs_in(store)) == 1


@every_store
async def test_a_tick_runs_the_job_of_a_slot_that_has_come(open_store: OpenStore) -> None:
    clock, job = FakeClock(NOON - MINUTE), hourly()
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job)
        assert (await tick(backend)).scheduled == 0
        clock.advance(MINUTE)
        done = await tick(backend)
        assert (done.scheduled, done.completed, done.failed) == (1, 1, 0)
        (record,) = await jobs_in(store)
        assert (record.status, record.result) == (JobStatus.COMPLETED, '{"text":"scheduled"}')


@every_store
async def test_a_worker_runs_the_job_of_a_slot_that_has_come(open_store: OpenStore) -> None:
    clock, job = FakeClock(NOON - MINUTE), hourly()
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job)
        await Worker(backend, until_empty=True).run()
        assert await jobs_in(store) == []
        clock.advance(MINUTE)
        await Worker(backend, until_empty=True).run()
        (record,) = await jobs_in(store)
        assert record.status is JobStatus.COMPLETED


@every_store
@pytest.mark.parametrize(
    ("misfire", "hours"),
    [(Misfire.SKIP, []), (Misfire.FIRE_ONCE, [5]), (Misfire.FIRE_ALL, [1, 2, 3, 4, 5])],
)
async def test_slots_that_passed_unseen_fire_as_the_schedule_says(
    open_store: OpenStore, misfire: Misfire, hours: list[int]
) -> None:
    clock, job = FakeClock(NOON), hourly(misfire)
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job)
        await backend.execution.scheduler.tick()
        clock.advance(5 * HOUR + 30 * MINUTE)
        assert len(await backend.execution.scheduler.tick()) == len(hours)
        assert [record.scheduled_for for record in await jobs_in(store)] == [NOON + hour * HOUR for hour in hours]
        assert await ticks(backend, clock, 30 * MINUTE) == 1


@every_store
async def test_slots_beyond_the_misfire_limit_are_dropped_and_logged(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    clock, job = FakeClock(NOON), hourly(Misfire.FIRE_ALL)
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job, misfire_limit=2)
        await backend.execution.scheduler.tick()
        clock.advance(5 * HOUR + 30 * MINUTE)
        assert len(await backend.execution.scheduler.tick()) == 2
        assert await ticks(backend, clock, 2 * HOUR + 30 * MINUTE) == 3
        assert [record.scheduled_for for record in await jobs_in(store)] == [NOON + n * HOUR for n in (4, 5, 6, 7, 8)]
    (line,) = caplog.records
    assert line.getMessage() == (
        "schedule hourly of Report: 3 slots from 2026-01-01T13:00:00+00:00 on passed without a scheduler and are "
        "dropped; the newest 2 fire"
    )


async def test_only_the_scheduler_that_fires_logs_dropped_slots(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, job = FakeClock(NOON), hourly(Misfire.FIRE_ALL)
    store = RacingStore(clock)
    await save(store, job, misfire_limit=2)
    schedulers = [Scheduler(store, backend_on(store, job, clock=clock).registry) for _ in range(2)]
    await asyncio.gather(*(scheduler.tick() for scheduler in schedulers))
    clock.advance(5 * HOUR)
    fired = await asyncio.gather(*(scheduler.tick() for scheduler in schedulers))
    assert sorted(len(made) for made in fired) == [0, 2]
    assert caplog.text.count("3 slots from ") == 1


async def test_slots_that_the_limit_lets_through_are_not_called_dropped(caplog: pytest.LogCaptureFixture) -> None:
    clock, job = FakeClock(NOON), hourly(Misfire.FIRE_ALL)
    async with open_memory(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job, misfire_limit=5)
        await backend.execution.scheduler.tick()
        clock.advance(5 * HOUR)
        assert len(await backend.execution.scheduler.tick()) == 5
    assert caplog.records == []


async def test_of_a_long_outage_not_every_dropped_slot_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock, job = FakeClock(NOON), hourly(Misfire.FIRE_ALL)
    async with open_memory(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job, cron_expression="* * * * *", misfire_limit=3)
        await backend.execution.scheduler.tick()
        clock.advance(timedelta(days=200))
        assert len(await backend.execution.scheduler.tick()) == 3
    assert "at least 1000 slots" in caplog.text


@every_store
async def test_a_schedule_that_is_switched_off_makes_no_jobs(open_store: OpenStore) -> None:
    clock, job = FakeClock(NOON), hourly()
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        schedule = await save(store, job)
        await store.enable_schedule(schedule.id, enabled=False)
        assert await ticks(backend, clock, 3 * HOUR) == 0
        await store.enable_schedule(schedule.id, enabled=True)
        assert await ticks(backend, clock, 3 * HOUR) == 3


async def test_schedules_of_jobs_that_cannot_be_run_here_are_left_alone() -> None:
    clock, job = FakeClock(NOON), hourly()
    async with open_memory(clock) as store:
        await save(store, job)
        elsewhere = Backend(database=store, job_registry=create_job_registry(), clock=clock)
        assert await ticks(elsewhere, clock, 3 * HOUR) == 0
        (schedule,) = await store.list_schedules()
        assert schedule.next_run_at is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cron_expression": "61 * * * *"}, "61"),
        ({"timezone": "Mars/Olympus"}, "unknown time zone 'Mars/Olympus'"),
        ({"misfire": "sometimes"}, "sometimes"),
        ({"misfire": "fire_all", "misfire_limit": 0}, "misfire_limit must be between 1 and 1000, not 0"),
        ({"params": '{"text":5}'}, "/text: Input should be a valid string, got 5"),
        ({"params": "{"}, "Expecting property name"),
    ],
)
async def test_a_schedule_that_cannot_be_read_is_reported_and_stops_no_other(
    changes: dict[str, object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, job = FakeClock(NOON), hourly()
    async with open_memory(clock) as store:
        backend = backend_on(store, job, clock=clock)
        broken = await save(store, job, id="broken", name="a broken one")
        await save(store, job)
        await backend.execution.scheduler.tick()
        await save(store, job, id=broken.id, name=broken.name, **changes)
        assert await ticks(backend, clock, 2 * HOUR, step=HOUR) == 2
        assert "schedule a broken one of Report cannot fire: " in caplog.text
        assert message in caplog.text


@pytest.mark.parametrize(
    ("text", "hours"),
    [("z" * 120_000, 20), ('"' * 200_000, 6), ("z" * 1_000_000, 3)],
    ids=["plain", "quotes", "largest"],
)
@pytest.mark.parametrize("open_store", [open_memory, open_sqlite, open_d1])
async def test_slots_whose_params_are_large_all_fire_a_few_at_a_time(
    open_store: OpenStore, text: str, hours: int
) -> None:
    clock, job = FakeClock(NOON), hourly(Misfire.FIRE_ALL)
    async with open_store(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job, params=json.dumps({"text": text}))
        await backend.execution.scheduler.tick()
        clock.advance(hours * HOUR)
        made = [len(await backend.execution.scheduler.tick())]
        while made[-1]:
            made.append(len(await backend.execution.scheduler.tick()))
        assert sum(made) == hours
        assert max(made) * len(json.dumps(json.dumps(text))) <= 1_200_000


async def test_a_schedule_whose_jobs_the_database_refuses_keeps_no_other_from_firing_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, job = FakeClock(NOON), hourly()
    store = FaultyStore(clock)
    backend = backend_on(store, job, clock=clock)
    await save(store, job, id="refused", name="a refused one")
    await save(store, job)
    await backend.execution.scheduler.tick()
    clock.advance(HOUR)
    store.break_down("fire refused")

    for _ in range(3):
        with pytest.raises(DatabaseError, match="fire refused"):
            await backend.execution.scheduler.tick()

    assert len(await jobs_in(store)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "schedule a refused one of Report cannot fire: the database is away (fire refused)"
    ]
    store.mend()
    (job_id,) = await backend.execution.scheduler.tick()
    assert job_id == slot_job_id(schedule_id("Report", "a refused one"), NOON + HOUR)


async def test_a_database_that_does_not_answer_any_more_is_not_asked_for_each_schedule() -> None:
    clock, job = FakeClock(NOON), hourly()
    store = FaultyStore(clock)
    backend = backend_on(store, job, clock=clock)
    for number in range(5):
        await save(store, job, id=str(number), name=str(number))
    store.break_down("fire", "ping")

    with pytest.raises(DatabaseError, match="ping"):
        await backend.execution.scheduler.tick()

    assert store.calls["fire"] == 1


async def test_a_worker_is_woken_for_new_jobs_even_if_another_schedule_fails() -> None:
    clock, job = FakeClock(NOON), hourly()
    store = FaultyStore(clock)
    backend = backend_on(store, job, clock=clock)
    await save(store, job, id="refused", name="a refused one")
    await save(store, job)
    await backend.execution.scheduler.tick()
    clock.advance(HOUR)
    store.break_down("fire refused")
    told: list[bool] = []
    maintenance = Maintenance(backend.execution, lambda: told.append(True))

    maintenance.tick()
    await maintenance.finish()

    assert told


async def test_any_error_of_a_validator_is_reported_once_and_stops_no_other_schedule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, job = FakeClock(NOON), hourly()

    class Strange(Text):
        @field_validator("text")
        @classmethod
        def _refuse(cls, value: str) -> str:
            raise KeyError(value)

    schedules = [Schedule(name="hourly", cron="0 * * * *", params='{"text":"x"}')]
    strange = define_job(name="A", params=Strange, result=Text, handler=echo, schedules=schedules)
    async with open_memory(clock) as store:
        backend = backend_on(store, strange, job, clock=clock)
        await save(store, strange)
        await save(store, job)
        await backend.execution.scheduler.tick()
        assert await ticks(backend, clock, 2 * HOUR) == 2
    assert [record.getMessage() for record in caplog.records] == ["schedule hourly of A cannot fire: KeyError('x')"]


async def test_a_schedule_that_fired_in_between_is_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    clock, job = FakeClock(NOON), hourly()
    async with open_memory(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job)
        await backend.execution.scheduler.tick()
        for params in ("[]", '{"text":"x"}', "[]"):
            await save(store, job, params=params)
            await ticks(backend, clock, HOUR)
    assert caplog.text.count("cannot fire") == 2


async def test_a_slot_whose_unique_key_is_in_use_makes_no_job_and_does_not_return() -> None:
    clock, gate = FakeClock(NOON), Gate()
    job = hourly(options=JobOptions(unique_by=("/text",)), handler=gate)
    async with open_memory(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job)
        await backend.execution.scheduler.tick()
        assert await ticks(backend, clock, HOUR) == 1
        assert await ticks(backend, clock, HOUR) == 0
        gate.opened.set()
        assert (await tick(backend)).completed == 1
        assert await ticks(backend, clock, HOUR) == 1
        assert len(await jobs_in(store)) == 2


async def test_a_slot_follows_the_time_zone_of_its_schedule() -> None:
    clock, job = FakeClock(datetime(2026, 3, 28, 12, tzinfo=UTC)), hourly()
    async with open_memory(clock) as store:
        backend = backend_on(store, job, clock=clock)
        await save(store, job, cron_expression="0 9 * * *", timezone="Europe/Berlin")
        await ticks(backend, clock, 3 * timedelta(days=1), step=HOUR)
        slots = [record.scheduled_for for record in await jobs_in(store)]
        # Summer time began on the 29th.
        assert slots == [datetime(2026, 3, day, 7, tzinfo=UTC) for day in (29, 30, 31)]
