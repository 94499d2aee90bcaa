"""Workers declare the schedules of their code. Two releases at once do not fight, and a manual switch is kept."""

from __future__ import annotations

from datetime import timedelta

from server_jobs.domain.ids import schedule_id
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Declaration, ScheduleRecord
from server_jobs.testing import FakeClock

from .examples import schedule

GRACE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Release:
    """A release of an application: the schedules that it declares for the job `Report`."""

    def __init__(self, store: Store, *names: str, cron: str = "0 * * * *") -> None:
        self._store = store
        self._declaration = Declaration(
            "Report",
            tuple(
                schedule(schedule_id("Report", name), job_name="Report", name=name, cron_expression=cron)
                for name in names
            ),
        )

    async def declare(self) -> list[str]:
        """Declare the schedules, as at the start of a worker. Return the names of the disabled ones."""
        return [each.name for each in await self._store.declare_schedules([self._declaration], grace=GRACE)]


async def switches(store: Store) -> dict[str, bool]:
    return {each.name: each.enabled for each in await store.list_schedules()}


async def test_declared_schedules_of_a_registry_are_stored(store: Store) -> None:
    release = Release(store, "daily", "hourly")
    assert await release.declare() == []
    assert await switches(store) == {"daily": True, "hourly": True}


async def test_a_withdrawn_schedule_is_disabled_until_it_is_declared_again(
    store: Store,
) -> None:
    await Release(store, "daily", "hourly").declare()
    assert await Release(store, "hourly").declare() == ["daily"]
    assert await switches(store) == {"daily": False, "hourly": True}
    await Release(store, "daily", "weekly").declare()
    assert await switches(store) == {"daily": True, "hourly": False, "weekly": True}


async def test_a_job_that_declares_no_schedule_any_more_has_its_schedules_disabled(store: Store) -> None:
    await Release(store, "daily").declare()
    assert await Release(store).declare() == ["daily"]
    assert await switches(store) == {"daily": False}


async def test_an_old_worker_that_restarts_in_a_rollout_changes_nothing(store: Store, clock: FakeClock) -> None:
    old, new = Release(store, "daily", "hourly"), Release(store, "hourly", "weekly", cron="30 * * * *")
    await old.declare()
    await new.declare()
    stored = await store.list_schedules()
    for _ in range(20):  # both releases run for five minutes
        assert await old.declare() == []
        assert await new.declare() == []
        clock.advance(GRACE / 4)
    assert await store.list_schedules() == stored
    assert await switches(store) == {"daily": False, "hourly": True, "weekly": True}


async def test_an_old_release_takes_over_once_the_new_one_has_been_silent_for_a_while(
    store: Store, clock: FakeClock
) -> None:
    old, new = Release(store, "daily"), Release(store, "weekly")
    await old.declare()
    await new.declare()
    clock.advance(GRACE - SECOND)
    assert await old.declare() == []
    clock.advance(2 * SECOND)
    assert await old.declare() == ["weekly"]
    assert await switches(store) == {"daily": True, "weekly": False}
    assert await new.declare() == []
    assert await switches(store) == {"daily": True, "weekly": False}


async def test_an_outage_of_all_workers_changes_nothing(store: Store, clock: FakeClock) -> None:
    release = Release(store, "daily")
    await release.declare()
    stored = await store.list_schedules()
    clock.advance(10 * GRACE)
    await release.declare()
    assert await store.list_schedules() == stored


async def test_a_schedule_that_a_user_disabled_stays_disabled(store: Store) -> None:
    old, new = Release(store, "daily", "hourly"), Release(store, "daily", "weekly")
    await old.declare()
    for name in ("daily", "hourly"):
        await store.enable_schedule(schedule_id("Report", name), enabled=False)
    await old.declare()
    await new.declare()
    assert await switches(store) == {"daily": False, "hourly": False, "weekly": True}
    await Release(store, "daily", "hourly", "yearly").declare()
    assert await switches(store) == {"daily": False, "hourly": False, "weekly": False, "yearly": True}


async def test_a_user_may_enable_a_schedule_that_no_release_declares(store: Store) -> None:
    await Release(store, "daily").declare()
    await Release(store).declare()
    await store.enable_schedule(schedule_id("Report", "daily"), enabled=True)
    await Release(store).declare()
    await Release(store, "weekly").declare()
    assert await switches(store) == {"daily": True, "weekly": True}


async def test_a_user_may_disable_a_schedule_that_a_release_dropped(store: Store) -> None:
    await Release(store, "daily").declare()
    await Release(store).declare()
    await store.enable_schedule(schedule_id("Report", "daily"), enabled=False)
    await Release(store, "daily", "weekly").declare()
    assert await switches(store) == {"daily": False, "weekly": True}


async def test_schedules_of_others_are_left_alone(store: Store) -> None:
    """By hand for the same job, by a migration for the same schedule, by another application for another job."""
    others: list[ScheduleRecord] = [
        schedule("by hand", job_name="Report", name="by hand"),
        schedule(schedule_id("Report", "daily"), job_name="Report", name="daily", enabled=False),
        schedule("of others", job_name="Other", name="of others"),
    ]
    await store.save_schedules(others)
    await Release(store, "daily").declare()
    await Release(store, "weekly").declare()
    assert await switches(store) == {"by hand": True, "daily": False, "of others": True, "weekly": True}


async def test_a_job_without_schedules_leaves_no_trace(store: Store) -> None:
    assert await Release(store).declare() == []
    await Release(store, "daily").declare()
    assert await switches(store) == {"daily": True}


async def test_only_a_changed_rule_is_planned_again(store: Store, clock: FakeClock) -> None:
    await Release(store, "daily").declare()
    (stored,) = await store.list_schedules()
    assert stored.next_run_at is None
    assert await Release(store, "daily", cron="5 5 * * *").declare() == []
    (stored,) = await store.list_schedules()
    assert (stored.cron_expression, stored.next_run_at) == ("5 5 * * *", None)
