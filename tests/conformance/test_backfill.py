"""`ScheduleHandle.backfill`: the slots of a range of the past become jobs, once each."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from pydantic import BaseModel
from server_jobs import (
    BackfilledSlot,
    InvalidOptionError,
    JobContext,
    JobOptions,
    JobQuery,
    Misfire,
    Retention,
    RetryPolicy,
    Schedule,
    ScheduleNotFoundError,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Inserted, NewJob
from server_jobs.engine.backend import Backend
from server_jobs.handle import backfill
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.conformance.conftest import SLOW
from tests.conformance.examples import START
from tests.conformance.stores import STORES, OpenStore
from tests.slow import slow

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class At(BaseModel):
    """Params and result."""

    at: str


class Slots:
    """A handler that records its slots, and fails if it should."""

    def __init__(self) -> None:
        self.seen: list[datetime | None] = []
        self.fails = False

    async def __call__(self, params: At, context: JobContext) -> At:
        self.seen.append(context.slot)
        if self.fails:
            raise ValueError(params.at)
        return params


@pytest.fixture
def slots() -> Slots:
    return Slots()


@pytest.fixture(params=[slow(name) if name in SLOW else name for name in STORES])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Return a function that opens one database, because a backfill refuses several."""
    return STORES[request.param]


def report(slots: Slots, cron: str = "0 * * * *", timezone: str = "UTC", options: JobOptions | None = None) -> AnyJob:
    """Return a job with a schedule whose params take the slot."""
    schedule = Schedule(
        name="main", cron=cron, timezone=timezone, misfire=Misfire.FIRE_ALL, params='{"at":{"$slot":"date-time"}}'
    )
    given = options or JobOptions(max_attempts=1)
    return define_job(name="Report", params=At, result=At, handler=slots, options=given, schedules=[schedule])


async def planned(store: Store, clock: FakeClock, job: AnyJob) -> Backend:
    """Return a backend that has planned the schedule of this job, at the start of a year."""
    backend = Backend(database=store, job_registry=create_job_registry().register(job), clock=clock)
    backend.registry.bind(backend)
    await backend.execution.scheduler.declare()
    await backend.execution.scheduler.tick()
    return backend


def outcomes(done: Sequence[BackfilledSlot]) -> list[str]:
    return [str(one.outcome) for one in done]


async def params_of(store: Store) -> list[str]:
    """Return the times in the params of all jobs, oldest id first."""
    return [json.loads(one.params)["at"] for one in reversed(await store.list_jobs(JobQuery(limit=1000)))]


async def doubled(store: Store) -> list[str]:
    """Return the slots with more than one job."""
    return [at for at, count in Counter(await params_of(store)).items() if count > 1]


async def test_the_slots_of_a_range_run_once_the_oldest_first(slots: Slots, store: Store, clock: FakeClock) -> None:
    job = report(slots)
    backend = await planned(store, clock, job)
    start = START - 3 * HOUR

    done = await job.schedule("main").backfill(start=start, end=START)
    again = await job.schedule("main").backfill(start=start, end=START)

    expected = [start, start + HOUR, start + 2 * HOUR]
    assert [one.slot for one in done] == [one.slot for one in again] == expected
    assert (outcomes(done), outcomes(again)) == (["enqueued"] * 3, ["stored"] * 3)
    assert [one.job_id for one in done] == [one.job_id for one in again]
    assert (await tick(backend)).completed == 3
    assert slots.seen == expected
    assert await params_of(store) == [slot.isoformat() for slot in expected]
    assert outcomes(await job.schedule("main").backfill(start=start, end=START)) == ["stored"] * 3
    assert {one.correlation_id for one in await store.list_jobs(JobQuery())} == {"Report/main"}


async def test_workers_and_backfills_at_the_same_time_double_no_slot(
    slots: Slots, store: Store, clock: FakeClock
) -> None:
    job = report(slots)
    backend = await planned(store, clock, job)
    clock.advance(5 * HOUR)
    weekly = job.schedule("main")

    await asyncio.gather(
        weekly.backfill(start=START, end=START + 4 * HOUR),
        backend.execution.scheduler.tick(),
        weekly.backfill(start=START + 2 * HOUR, end=START + 6 * HOUR),
    )

    assert await params_of(store) == [(START + hour * HOUR).isoformat() for hour in range(6)]
    clock.advance(HOUR)
    assert len(await backend.execution.scheduler.tick()) == 1
    assert outcomes(await weekly.backfill(start=START, end=START + 7 * HOUR)) == ["stored"] * 7


async def test_without_the_ids_of_slots_a_second_backfill_doubles_them(
    slots: Slots, store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = report(slots)
    await planned(store, clock, job)
    monkeypatch.setattr(backfill, "slot_job_id", lambda *_: new_job_id())
    for _ in range(2):
        await job.schedule("main").backfill(start=START - HOUR, end=START)
    assert await doubled(store) == [(START - HOUR).isoformat()]


async def test_again_runs_slots_whose_jobs_have_finished(slots: Slots, store: Store, clock: FakeClock) -> None:
    at_once = JobOptions(max_attempts=2, retry=RetryPolicy(initial=timedelta(0), jitter=0))
    job = report(slots, options=at_once)
    backend = await planned(store, clock, job)
    main, (start, end) = job.schedule("main"), (START - 2 * HOUR, START)
    await main.backfill(start=start, end=end)

    assert outcomes(await main.backfill(start=start, end=end, again=True)) == ["stored", "stored"]
    for run in range(1, 7):
        await tick(backend)
        slots.fails = run % 2 == 0
        both = await asyncio.gather(*(main.backfill(start=start, end=end, again=True) for _ in range(2)))
        assert sorted(map(outcomes, both)) == [["enqueued"] * 2, ["stored"] * 2]
        assert len(await params_of(store)) == 2 * (run + 1)
    slots.fails = False
    await tick(backend)

    assert set(slots.seen) == {start, start + HOUR}
    assert outcomes(await main.backfill(start=start, end=end)) == ["stored", "stored"]


async def test_a_backfilled_job_does_not_expire(slots: Slots, store: Store, clock: FakeClock) -> None:
    job = report(slots, options=JobOptions(max_attempts=1, expires_after=timedelta(minutes=1)))
    backend = await planned(store, clock, job)

    await job.schedule("main").backfill(start=START - 2 * HOUR, end=START)
    clock.advance(10 * timedelta(minutes=1))

    done = await tick(backend)
    assert (done.completed, done.late) == (2, 0)


async def test_a_paused_schedule_and_a_dry_run(slots: Slots, store: Store, clock: FakeClock) -> None:
    job = report(slots)
    await planned(store, clock, job)
    main = job.schedule("main")
    await main.pause()
    await main.backfill(start=START - HOUR, end=START)

    seen = await main.backfill(start=START - 2 * HOUR, end=START, dry_run=True)

    assert [(str(one.outcome), one.job_id is None) for one in seen] == [("enqueued", True), ("stored", False)]
    assert len(await params_of(store)) == 1


async def test_a_unique_key_keeps_a_slot_out_until_its_job_has_finished(
    slots: Slots, store: Store, clock: FakeClock
) -> None:
    same_day = Schedule(name="main", cron="0 * * * *", params='{"at":{"$slot":"date"}}')
    options = JobOptions(max_attempts=1, unique_by=("/at",))
    job = define_job(name="Report", params=At, result=At, handler=slots, options=options, schedules=[same_day])
    backend = await planned(store, clock, job)
    main, (start, end) = job.schedule("main"), (START - 26 * HOUR, START)

    done = await main.backfill(start=start, end=end)

    assert Counter(outcomes(done)) == {"enqueued": 2, "duplicate": 24}
    assert {one.job_id for one in done} == {one.job_id for one in done if one.outcome == "enqueued"}
    await tick(backend)
    assert Counter(outcomes(await main.backfill(start=start, end=end))) == {"stored": 2, "enqueued": 2, "duplicate": 22}


async def test_the_slots_follow_the_clocks_of_the_zone(slots: Slots, store: Store, clock: FakeClock) -> None:
    """The clocks there go forward at 01:00 UTC on 30 March 2025, and back at 01:00 UTC on 26 October 2025."""
    job = report(slots, cron="30 2 * * *", timezone="Europe/Berlin")
    await planned(store, clock, job)
    main = job.schedule("main")
    for day in (datetime(2025, 3, 29, tzinfo=UTC), datetime(2025, 10, 25, tzinfo=UTC)):
        await main.backfill(start=day, end=day + 3 * DAY)

    assert await params_of(store) == [
        "2025-03-29T02:30:00+01:00",
        "2025-03-30T03:00:00+02:00",
        "2025-03-31T02:30:00+02:00",
        "2025-10-25T02:30:00+02:00",
        "2025-10-26T02:30:00+02:00",
        "2025-10-27T02:30:00+01:00",
    ]


async def test_every_hour_runs_in_each_hour_that_passes(slots: Slots, store: Store, clock: FakeClock) -> None:
    job = report(slots, timezone="Europe/Berlin")
    await planned(store, clock, job)
    for start in (datetime(2025, 3, 30, 0, tzinfo=UTC), datetime(2025, 10, 26, 0, tzinfo=UTC)):
        await job.schedule("main").backfill(start=start, end=start + 3 * HOUR)
    assert [at[11:] for at in await params_of(store)] == [
        *("01:00:00+01:00", "03:00:00+02:00", "04:00:00+02:00"),
        *("02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"),
    ]


async def test_a_slot_whose_job_was_deleted_counts_as_not_run(slots: Slots, store: Store, clock: FakeClock) -> None:
    job = report(slots, options=JobOptions(max_attempts=1, retention=Retention(completed=HOUR)))
    backend = await planned(store, clock, job)
    main = job.schedule("main")
    await main.backfill(start=START - HOUR, end=START)
    await tick(backend)
    clock.advance(timedelta(minutes=61))
    await tick(backend)

    assert outcomes(await main.backfill(start=START - HOUR, end=START)) == ["enqueued"]


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (START - HOUR, START + 2 * HOUR, "slot 2026-01-01T01:00:00+00:00 of Report/main is in the future; end the ran"),
        (START, START - HOUR, "must end after its start"),
        (START, START, "must end after its start"),
        (datetime(1969, 12, 31, tzinfo=UTC), START, "start in 1970 or later"),
        (datetime(2025, 12, 1), START, "start must have a time zone"),  # noqa: DTZ001
        (
            START - 50 * DAY,
            START,
            "has 1,200 slots of Report/main, and one backfill takes 1,000; end the first one at 2025-12-23T16:00:00",
        ),
        slow(START - 9999 * DAY, START, "has at least 10,000 slots"),
    ],
)
async def test_a_refused_range_stores_nothing(slots: Slots, start: datetime, end: datetime, message: str) -> None:
    job, clock = report(slots), FakeClock(START)
    store = MemoryStore(clock)
    await planned(store, clock, job)
    with pytest.raises(InvalidOptionError) as caught:
        await job.schedule("main").backfill(start=start, end=end)
    assert message in str(caught.value)
    assert await params_of(store) == []


async def test_the_longest_range_is_stored(slots: Slots, store: Store, clock: FakeClock) -> None:
    job = report(slots)
    await planned(store, clock, job)
    done = await job.schedule("main").backfill(start=START - 1000 * HOUR, end=START)
    assert Counter(outcomes(done)) == {"enqueued": 1000}
    assert len(set(await params_of(store))) == 1000


async def test_large_params_share_no_transaction(slots: Slots) -> None:
    class CountingStore(MemoryStore):
        sizes: ClassVar[list[int]] = []

        async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
            self.sizes.append(len(jobs))
            return await super().insert(jobs)

    job, clock = report(slots), FakeClock(START)
    store = CountingStore(clock)
    await planned(store, clock, job)
    for name, size in (("large", 600_000), ("empty", 1)):
        await job.schedule(name).add(cron="0 * * * *", params={"at": "x" * size})
        await job.schedule(name).backfill(start=START - 3 * HOUR, end=START)
    assert store.sizes == [1, 1, 1, 3]


async def test_an_unknown_schedule_is_refused(slots: Slots) -> None:
    job, clock = report(slots), FakeClock(START)
    await planned(MemoryStore(clock), clock, job)
    with pytest.raises(ScheduleNotFoundError, match="no schedule named 'other'"):
        await job.schedule("other").backfill(start=START - HOUR, end=START)
