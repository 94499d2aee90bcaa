"""Wrong, different and stepping clocks: no job runs early or twice, and no slot of a schedule fires again."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from server_jobs import connect
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record import Claim, Completed, JobStatus, KnownJob
from server_jobs.engine.scheduler import Scheduler
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import job, request, schedule
from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import RELAY_DELAY, Nap, Relay, TakeNap, storm_registry
from tests.faults.oracle import illegal, is_stale
from tests.faults.site import Site
from tests.seeds import chosen_seed

HOUR = 3600.0
JOBS = 600 if IS_LONG else 60
STEPS = 6000 if IS_LONG else 400
# Renewals keep the longest jobs, also on a busy machine: an expired lease would make a job due again.
LEASE, NAP = 2.0, 2.5

RULES = [
    ("*/7 * * * *", "UTC", "fire_all"),
    ("*/5 * * * *", "UTC", "skip"),
    ("30 1 * * *", "Europe/London", "fire_once"),
]
"""In the first night of the test, clocks in London are set back."""


def enqueue(site: Site) -> None:
    """Enqueue jobs that are due now or soon, that outlast their leases, or that enqueue others."""

    async def store() -> None:
        async with connect(storm_registry(), site.url):
            for number in range(0, JOBS, 3):
                await TakeNap.later(Nap(seconds=NAP if number % 12 == 0 else 0.02))
                await TakeNap.later(Nap(seconds=0.02), delay=timedelta(milliseconds=300 + number * 10))
                await Relay.later(Nap(seconds=0))

    asyncio.run(store())


def test_workers_whose_clocks_are_wrong_by_an_hour_run_each_job_once_and_when_it_is_due(
    site: Site, figure: Figure
) -> None:
    began = time.time() * 1000
    workers = [site.start(site.worker_plan(clock_error=error, lease=LEASE)) for error in (HOUR, -HOUR, 0.0)]
    enqueue(site)
    site.wait(lambda: site.statuses()["completed"] == JOBS + JOBS // 3)
    site.stop(*workers)

    due, created = milliseconds(site, "scheduled_for"), milliseconds(site, "created_at")
    claims = [change for change in site.history() if change.new_status == "running" and change.old_status == "pending"]
    early = [change for change in claims if change.happened_at < due[change.job_id]]
    relayed = [job_id for job_id, sender in site.column("correlation_id").items() if sender is not None]
    figure(
        f"{len(due)} jobs under workers whose clocks are an hour early, an hour late and right: "
        f"run early {len(early)}, run again {len(claims) - len(due)}"
    )
    assert not early
    assert set(site.column("attempt_count").values()) == {1}
    assert len(relayed) == JOBS // 3
    # A job that a handler enqueues there is due after its delay, by the clock of the database.
    assert {due[job_id] - created[job_id] for job_id in relayed} <= span(RELAY_DELAY)
    assert all(began - 1000 < created[job_id] < time.time() * 1000 + 1000 for job_id in relayed)
    assert not illegal(site.history())


def milliseconds(site: Site, column: str) -> dict[str, int]:
    """Return a column of times, in milliseconds for each job."""
    expression = column if site.is_sqlite else f"floor(extract(epoch FROM {column}) * 1000)"
    return {job_id: int(str(value)) for job_id, value in site.column(expression).items()}


def span(duration: timedelta) -> set[int]:
    """Return its milliseconds; one more or less because of rounding."""
    exact = duration // timedelta(milliseconds=1)
    return {exact - 1, exact, exact + 1}


class SteppingClock(FakeClock):
    """A wall clock that the test sets, forward and back."""

    def set(self, moment: datetime) -> None:
        """Set the time without moving other clocks."""
        self._now = moment


def store_with_clock(site: Site) -> tuple[SqlStore, SteppingClock]:
    """Open the file of the site with a separate clock."""
    clock = SteppingClock(datetime(2026, 10, 24, 22, tzinfo=UTC))
    return SqlStore(SqliteDatabase(site.path), clock), clock


async def test_no_slot_fires_twice_under_schedulers_whose_clocks_step_and_disagree(
    sqlite_site: Site, figure: Figure
) -> None:
    seed = chosen_seed()
    chance = random.Random(seed)
    stores = [store_with_clock(sqlite_site) for _ in range(3)]
    for store, _ in stores:
        await store.open()
    await stores[0][0].save_schedules(
        [
            schedule(
                f"s{number}",
                "TakeNap",
                f"n{number}",
                cron_expression=cron,
                timezone=zone,
                misfire=misfire,
                params=json.dumps({"seconds": 0, "padding": cron}),
            )
            for number, (cron, zone, misfire) in enumerate(RULES)
        ]
    )
    fired: Counter[str] = Counter()
    now = stores[0][1].now()
    for _ in range(STEPS):
        now += timedelta(minutes=chance.uniform(-20, 30))
        store, clock = chance.choice(stores)
        clock.set(now + timedelta(minutes=chance.choice([0, 0, -90, 45])))
        fired.update(await Scheduler(store, storm_registry()).tick())
    for store, _ in stores:
        await store.close()

    figure(f"{STEPS} ticks of 3 schedulers, seed {seed}: {len(fired)} slots fired, {max(fired.values())} times at most")
    assert max(fired.values()) == 1
    assert fired.keys() == sqlite_site.column("id").keys()
    assert sqlite_site.query("SELECT params, scheduled_for FROM jobs GROUP BY 1, 2 HAVING count(*) > 1") == []
    assert len(sqlite_site.query("SELECT DISTINCT params FROM jobs")) >= 2, "a schedule that skips nothing never fired"


async def test_only_the_newest_claim_writes_under_workers_whose_clocks_step_and_disagree(
    sqlite_site: Site, figure: Figure
) -> None:
    seed = chosen_seed()
    chance = random.Random(seed)
    stores = [store_with_clock(sqlite_site) for _ in range(3)]
    for store, _ in stores:
        await store.open()
    wanted = request(KnownJob("SendEmail", 1), limit=3, lease=timedelta(minutes=5))
    await stores[0][0].insert([job(f"job-{number}", max_attempts=1000) for number in range(STEPS // 8)])
    claims: list[Claim] = []
    refused = completed = 0
    now = stores[0][1].now()
    for _ in range(STEPS):
        now += timedelta(minutes=chance.uniform(-4, 5))
        store, clock = chance.choice(stores)
        clock.set(now + timedelta(minutes=chance.choice([0, 0, -60, 30])))
        await store.expire(jitter=timedelta(0))
        claims += await store.claim(wanted)
        if claims:
            claim = chance.choice(claims)
            result = json.dumps({"token": claim.token})
            (status,) = await store.settle([Completed(id=claim.id, token=claim.token, result=result)])
            completed += status is JobStatus.COMPLETED
            refused += status is None
    for store, _ in stores:
        await store.close()

    history = sqlite_site.history()
    stale = [change for change in history if is_stale(change)]
    figure(
        f"{STEPS} steps of 3 workers, seed {seed}: {completed} results stored, {refused} refused, {len(stale)} stale"
    )
    assert not stale
    assert not illegal(history)
    assert completed == sqlite_site.statuses()["completed"]
    assert completed > 0
    assert refused > 0
