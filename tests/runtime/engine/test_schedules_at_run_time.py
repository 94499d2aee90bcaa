"""`Job.schedule`: schedules that are added, changed, paused, run and removed at run time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel
from server_jobs import (
    EarlierVersion,
    InvalidOptionError,
    InvalidParamsError,
    JobContext,
    JobOptions,
    Misfire,
    ScheduleConflictError,
    ScheduleError,
    ScheduleNotFoundError,
    SlotParams,
    define_job,
)
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobQuery
from server_jobs.engine.backend import Backend
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import backend_on

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Name(BaseModel):
    name: str


class Audience(BaseModel):
    audience: str


def digest(version: int = 1) -> AnyJob:
    """Return the job in version 1 with a name, or in version 2 with an audience, which reads version 1."""

    async def handler(params: Audience | Name, context: JobContext) -> None: ...

    def upcast(params: Name) -> Audience:
        return Audience(audience=f"all of {params.name}")

    earlier = [EarlierVersion(version=1, params_model=Name, upcast=upcast)] if version == 2 else []
    return define_job(
        name="Digest",
        params=Audience if version == 2 else Name,
        result=type(None),
        handler=handler,
        options=JobOptions(version=version),
        earlier=earlier,
    )


async def same_name(params: Name, context: JobContext) -> Name:
    return params


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return MemoryStore(clock)


async def params_after(backend: Backend, clock: FakeClock, duration: timedelta) -> list[object]:
    """Return the params of all jobs, after two rounds of the scheduler with this time in between."""
    await backend.execution.scheduler.tick()
    clock.advance(duration)
    await backend.execution.scheduler.tick()
    return [json.loads(one.params) for one in await backend.store.list_jobs(JobQuery(limit=100))]


async def test_an_added_schedule_fires_with_its_params(store: Store, clock: FakeClock) -> None:
    job = digest()
    backend = backend_on(store, job, clock=clock)
    await job.schedule("ann").add(cron="30 13 * * *", timezone="Europe/Berlin", params={"name": "Ann"})

    assert await params_after(backend, clock, timedelta(minutes=31)) == [{"name": "Ann"}]


async def test_params_of_an_earlier_version_are_upcast_when_the_schedule_fires(store: Store, clock: FakeClock) -> None:
    old, new = digest(), digest(2)
    backend_on(store, old, clock=clock)
    await old.schedule("ann").add(cron="0 * * * *", params={"name": "Ann"})

    backend = backend_on(store, new, clock=clock)
    assert await params_after(backend, clock, timedelta(hours=1)) == [{"audience": "all of Ann"}]
    assert (await new.schedule("ann").run()) in [one.id for one in await store.list_jobs(JobQuery(limit=1))]


async def test_params_of_an_unknown_version_are_reported_and_make_no_job(
    store: Store, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = digest(), digest(2)
    backend_on(store, new, clock=clock)
    await new.schedule("ann").add(cron="0 * * * *", params={"audience": "Ann"})

    backend = backend_on(store, old, clock=clock)
    assert await params_after(backend, clock, timedelta(hours=1)) == []
    assert backend.execution.scheduler.unfired == {new.schedule("ann").id}
    assert "schedule ann of Digest cannot fire" in caplog.text


async def test_a_run_makes_a_job_at_once_and_keeps_the_plan(store: Store, clock: FakeClock) -> None:
    job = digest()
    backend = backend_on(store, job, clock=clock)
    weekly = job.schedule("weekly")
    await weekly.add(cron="0 7 * * 1", params={"name": "Ann"})
    await backend.execution.scheduler.tick()
    await weekly.pause()
    planned = await weekly.record()

    first, second = await weekly.run(), await weekly.run()

    assert first != second
    record = await first.record()
    assert (record.params, record.correlation_id) == ('{"name":"Ann"}', "Digest/weekly")
    assert await weekly.record() == planned


async def test_params_take_the_slot_in_the_zone_of_the_schedule(store: Store, clock: FakeClock) -> None:
    job = digest()
    backend = backend_on(store, job, clock=clock)
    clock.advance(datetime(2026, 3, 28, tzinfo=UTC) - clock.now())
    midnight = SlotParams({"name": {"$slot": "date"}})
    exact = SlotParams({"name": {"$slot": "date-time"}})
    await job.schedule("berlin").add(cron="0 0 * * *", timezone="Europe/Berlin", params=midnight)
    await job.schedule("exact").add(cron="30 2 * * *", timezone="Europe/Berlin", misfire=Misfire.FIRE_ALL, params=exact)
    await job.schedule("lima").add(cron="0 23 * * *", timezone="America/Lima", params=midnight)

    params = await params_after(backend, clock, timedelta(days=2, hours=6))

    assert sorted(str(one) for one in params) == [
        "{'name': '2026-03-28T02:30:00+01:00'}",
        "{'name': '2026-03-29'}",  # in Lima, where UTC has the 30th
        "{'name': '2026-03-29T03:00:00+02:00'}",  # no clock there showed 02:30
        "{'name': '2026-03-30'}",
        "{'name': '2026-03-30T02:30:00+02:00'}",
    ]


async def test_params_that_take_the_slot_are_stored_as_they_are_and_checked_before(
    store: Store, clock: FakeClock
) -> None:
    job = digest()
    backend_on(store, job, clock=clock)
    ann = job.schedule("ann")
    with pytest.raises(ScheduleError, match=r'\$slot must be "date" or "date-time", not "day"'):
        await ann.add(cron="0 7 * * *", params={"name": {"$slot": "day"}})
    with pytest.raises(InvalidParamsError, match="/nam"):
        await ann.add(cron="0 7 * * *", params={"nam": {"$slot": "date"}})
    assert await store.list_schedules() == []

    await ann.add(cron="0 7 * * *", params={"name": "Ann"})
    with pytest.raises(ScheduleError, match=r"not 3"):
        await ann.change(params={"name": {"$slot": 3}})
    await ann.change(params={"name": {"$slot": "date"}})

    assert (await ann.record()).params == '{"name":{"$slot":"date"}}'
    run = await ann.run()
    assert json.loads((await run.record()).params) == {"name": f"{datetime.now(UTC):%Y-%m-%d}"}


async def test_the_slot_is_filled_in_before_params_of_an_earlier_version_are_upcast(
    store: Store, clock: FakeClock
) -> None:
    old, new = digest(), digest(2)
    backend_on(store, old, clock=clock)
    await old.schedule("ann").add(cron="0 * * * *", params={"name": {"$slot": "date-time"}})

    backend = backend_on(store, new, clock=clock)

    made = await params_after(backend, clock, timedelta(hours=1))
    assert made == [{"audience": "all of 2026-01-01T13:00:00+00:00"}]


async def test_slots_that_params_take_have_different_unique_keys(store: Store, clock: FakeClock) -> None:
    options, by_day = JobOptions(unique_by=("/name",)), {"name": {"$slot": "date"}}
    job = define_job(name="Digest", params=Name, result=Name, handler=same_name, options=options)
    backend = backend_on(store, job, clock=clock)
    await job.schedule("ann").add(cron="0 */12 * * *", misfire=Misfire.FIRE_ALL, params=by_day)

    made = await params_after(backend, clock, timedelta(days=2))

    assert [one for one in made if isinstance(one, dict)] == [
        {"name": "2026-01-03"},
        {"name": "2026-01-02"},
    ]


async def test_schedules_are_listed_by_job(store: Store, clock: FakeClock) -> None:
    job = digest()
    backend_on(store, job, clock=clock)
    for name in ("b", "a"):
        await job.schedule(name).add(cron="0 7 * * *", params={"name": name})

    assert [one.label for one in await job.list_schedules()] == ["Digest/a", "Digest/b"]


async def test_a_refused_call_stores_nothing(store: Store, clock: FakeClock) -> None:
    job = digest()
    backend_on(store, job, clock=clock)
    ann = job.schedule("ann")
    with pytest.raises(InvalidParamsError, match="/name"):
        await ann.add(cron="0 7 * * *")
    with pytest.raises(ScheduleError, match="Mars"):
        await ann.add(cron="0 7 * * *", timezone="Mars/Olympus", params={"name": "Ann"})
    with pytest.raises(InvalidOptionError, match="FIRE_ALL"):
        await ann.add(cron="0 7 * * *", misfire_limit=3, params={"name": "Ann"})
    for call in (ann.change(cron="0 8 * * *"), ann.pause(), ann.resume(), ann.run(), ann.remove()):
        with pytest.raises(ScheduleNotFoundError, match="Digest has no schedule named 'ann'"):
            await call
    assert await store.list_schedules() == []

    await ann.add(cron="0 7 * * *", params={"name": "Ann"})
    before = await ann.record()
    with pytest.raises(ScheduleConflictError, match="Digest/ann is stored already"):
        await ann.add(cron="0 8 * * *", params={"name": "Bob"})
    with pytest.raises(InvalidParamsError):
        await ann.change(cron="0 8 * * *", params={"nam": "Bob"})
    with pytest.raises(InvalidOptionError, match="misfire together with misfire_limit"):
        await ann.change(misfire_limit=3)
    assert await ann.record() == before


async def test_values_that_are_not_given_stay(store: Store, clock: FakeClock) -> None:
    job = digest()
    backend_on(store, job, clock=clock)
    ann = job.schedule("ann")
    await ann.add(cron="0 7 * * *", timezone="Europe/Berlin", params={"name": "Ann"})

    await ann.change(misfire=Misfire.FIRE_ALL, misfire_limit=3)
    await ann.change(params={"name": "Bob"})

    record = await ann.record()
    assert (record.cron_expression, record.timezone, record.params) == ("0 7 * * *", "Europe/Berlin", '{"name":"Bob"}')
    assert (record.misfire, record.misfire_limit) == ("fire_all", 3)


def test_the_calls_without_an_event_loop_do_the_same() -> None:
    job = digest()
    job.set_database(MemoryStore())
    ann = job.schedule("ann")
    ann.add_sync(cron="0 7 * * *", params={"name": "Ann"})
    ann.change_sync(cron="0 8 * * *")
    ann.pause_sync()
    assert (ann.record_sync().cron_expression, ann.record_sync().enabled) == ("0 8 * * *", False)
    ann.resume_sync()
    assert ann.run_sync().record_sync().params == '{"name":"Ann"}'
    ann.remove_sync()
    assert job.list_schedules_sync() == []
