"""Schedules: which are due, and at most one job for each slot."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ScheduleSource
from server_jobs.domain.record import Declaration, JobStatus, ScheduleChange, ScheduleRecord
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    START,
    completed,
    firing,
    ids,
    job,
    read,
    reclaim,
    request,
    schedule,
)

HOUR = timedelta(hours=1)


async def only_schedule(store: Store) -> ScheduleRecord:
    (record,) = await store.list_schedules()
    return record


async def due_ids(store: Store, *job_names: str) -> list[str]:
    due = await store.due_schedules(job_names or ("SendEmail",))
    return [one.id for one in due.schedules]


async def test_schedules_are_stored_and_listed_by_job_and_name(store: Store, clock: FakeClock) -> None:
    nightly = schedule(
        "s2", name="a", cron_expression="0 3 * * *", timezone="Europe/Berlin", misfire="skip", params='{"n":1}'
    )
    often = schedule("s4", name="c", misfire="fire_all", misfire_limit=24)
    schedules = [schedule("s1", name="b"), schedule("s3", "ImportCsv", "z", enabled=False), often, nightly]

    await store.save_schedules(schedules)

    assert list(await store.list_schedules()) == [schedules[1], nightly, schedules[0], often]


async def test_saving_no_schedules_keeps_those_there_are(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])

    await store.save_schedules([])

    assert await only_schedule(store) == schedule()


async def test_a_schedule_that_is_not_planned_yet_is_due_for_planning(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])

    due = await store.due_schedules(["SendEmail"])

    assert due.now == clock.now()
    assert list(due.schedules) == [schedule()]


async def test_a_planned_schedule_is_due_from_its_slot_on(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(next_run_at=START + HOUR))

    clock.advance(HOUR - timedelta(milliseconds=1))
    assert await due_ids(store) == []

    clock.advance(timedelta(milliseconds=1))
    assert await due_ids(store) == ["s1"]


async def test_only_enabled_schedules_of_the_jobs_asked_for_are_due(store: Store, clock: FakeClock) -> None:
    await store.save_schedules(
        [
            schedule("s1"),
            schedule("s2", "ImportCsv"),
            schedule("s3", "Vacuum"),
            schedule("off", name="off", enabled=False),
        ]
    )

    assert await due_ids(store, "SendEmail", "ImportCsv") == ["s2", "s1"]
    assert list((await store.due_schedules([])).schedules) == []


async def test_a_slot_that_fires_makes_a_job_and_plans_the_next_slot(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    clock.advance(HOUR + timedelta(seconds=5))
    slot = START + HOUR

    assert list(await store.fire(firing(slot, next_run_at=slot + HOUR))) == [True]

    record = await read(store, "s1@01.01:00")
    assert (record.status, record.scheduled_for, record.attempt_count) == (JobStatus.PENDING, slot, 0)
    assert await only_schedule(store) == replace(
        schedule(), last_run_at=slot, next_run_at=slot + HOUR, last_job_id="s1@01.01:00"
    )
    assert ids(await store.claim(request())) == ["s1@01.01:00"]


async def test_several_slots_fire_at_once(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    clock.advance(5 * HOUR)
    slots = [START + HOUR, START + 2 * HOUR, START + 3 * HOUR]

    assert list(await store.fire(firing(*slots, next_run_at=START + 4 * HOUR))) == [True, True, True]

    assert ids(await store.claim(request())) == ["s1@01.01:00", "s1@01.02:00", "s1@01.03:00"]
    stored = await only_schedule(store)
    assert (stored.last_run_at, stored.last_job_id) == (START + 3 * HOUR, "s1@01.03:00")
    assert stored.next_run_at == START + 4 * HOUR


async def test_two_schedulers_that_fire_the_same_slot_make_one_job(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    clock.advance(HOUR)
    same = firing(START + HOUR, next_run_at=START + 2 * HOUR)

    answers = await asyncio.gather(store.fire(same), store.fire(same))

    assert sorted(list(answer) for answer in answers) == [[False], [True]]
    assert ids(await store.claim(request())) == ["s1@01.01:00"]


async def test_a_slot_fires_once_even_if_the_second_scheduler_makes_another_job_of_it(
    store: Store, clock: FakeClock
) -> None:
    await store.save_schedules([schedule()])
    first = firing(START + HOUR, next_run_at=START + 2 * HOUR)
    await store.fire(first)

    again = replace(first, slots=((START + HOUR, job("another-id", scheduled_for=START + HOUR)),))

    assert list(await store.fire(again)) == [False]
    assert await store.get("another-id") is None


async def test_of_the_slots_of_two_schedulers_only_the_new_ones_fire(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + HOUR, START + 2 * HOUR, next_run_at=START + 3 * HOUR))

    late = firing(START + HOUR, START + 2 * HOUR, START + 3 * HOUR, next_run_at=START + 4 * HOUR)

    assert list(await store.fire(late)) == [False, False, True]
    stored = await only_schedule(store)
    assert (stored.last_run_at, stored.last_job_id) == (START + 3 * HOUR, "s1@01.03:00")


async def test_a_slot_that_fired_does_not_fire_again_when_the_plan_is_set_back(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    await store.settle([completed(await reclaim(store, "s1@01.01:00"))])

    await store.fire(firing(next_run_at=START + HOUR))
    clock.advance(2 * HOUR)
    assert await due_ids(store) == ["s1"]
    assert list(await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))) == [False]

    assert (await read(store, "s1@01.01:00")).status is JobStatus.COMPLETED
    stored = await only_schedule(store)
    assert (stored.last_run_at, stored.last_job_id) == (START + HOUR, "s1@01.01:00")


async def test_a_slot_older_than_the_last_one_never_fires(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + 5 * HOUR, next_run_at=START + 6 * HOUR))

    assert list(await store.fire(firing(START + 4 * HOUR, next_run_at=START + 6 * HOUR))) == [False]

    assert await store.get("s1@01.04:00") is None
    assert (await only_schedule(store)).last_run_at == START + 5 * HOUR


async def test_two_schedules_fire_the_same_slot_independently(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule("s1"), schedule("s2", name="other")])
    slot = START + HOUR

    assert list(await store.fire(firing(slot, schedule_id="s1", next_run_at=slot + HOUR))) == [True]
    assert list(await store.fire(firing(slot, schedule_id="s2", next_run_at=slot + HOUR))) == [True]


async def test_a_slot_whose_unique_key_is_in_use_makes_no_job_and_counts_as_fired(
    store: Store, clock: FakeClock
) -> None:
    await store.save_schedules([schedule()])
    await store.insert([job("holder", unique_key="k")])
    slot = START + HOUR

    assert list(await store.fire(firing(slot, next_run_at=slot + HOUR, unique_key="k"))) == [False]
    assert await store.get("s1@01.01:00") is None
    assert (await only_schedule(store)).next_run_at == slot + HOUR

    await store.cancel("holder")
    assert list(await store.fire(firing(slot, next_run_at=slot + HOUR, unique_key="k"))) == [False]


async def test_a_missed_slot_that_is_too_late_gives_its_unique_key_to_the_next_slot(
    store: Store, clock: FakeClock
) -> None:
    await store.save_schedules([schedule()])
    slots = [START, START + HOUR, START + HOUR + timedelta(minutes=1)]
    clock.advance(HOUR + timedelta(minutes=1.5))
    missed = firing(*slots, next_run_at=START + 2 * HOUR, unique_key="k", expires_after=HOUR)

    assert list(await store.fire(missed)) == [True, True, False]

    late, new = await read(store, missed.slots[0][1].id), await read(store, missed.slots[1][1].id)
    assert (late.status, late.error) == (JobStatus.CANCELLED, "expired: it had to start by 2026-01-01 01:00:00 UTC")
    assert (late.completed_at, late.start_before, late.unique_key) == (clock.now(), START + HOUR, "k")
    assert (new.status, new.error, new.completed_at) == (JobStatus.PENDING, None, None)
    assert (await only_schedule(store)).last_job_id == new.id
    assert ids(await store.claim(request())) == [new.id]


async def test_missed_slots_that_are_all_too_late_make_late_jobs(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    clock.advance(5 * HOUR)
    missed = firing(START, START + HOUR, next_run_at=START + 6 * HOUR, unique_key="k", expires_after=HOUR)

    assert list(await store.fire(missed)) == [True, True]

    assert [(await read(store, job.id)).status for _, job in missed.slots] == [JobStatus.CANCELLED, JobStatus.PENDING]
    assert [late.id for late in await store.cancel_late()] == [missed.slots[1][1].id]


async def test_missed_slots_leave_a_unique_key_in_use_alone(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.insert([job("holder", unique_key="k")])
    clock.advance(HOUR + timedelta(seconds=1.5))
    missed = firing(START, START + HOUR, next_run_at=START + 2 * HOUR, unique_key="k", expires_after=HOUR)

    assert list(await store.fire(missed)) == [False, False]

    assert [await store.get(job.id) for _, job in missed.slots] == [None, None]


async def test_the_last_job_of_a_schedule_is_of_the_newest_slot_that_made_one(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.insert([job("holder", unique_key="k")])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    await store.fire(firing(START + 2 * HOUR, next_run_at=START + 3 * HOUR))

    late = firing(START + HOUR, START + 3 * HOUR, next_run_at=START + 4 * HOUR, unique_key="k")

    assert list(await store.fire(late)) == [False, False]
    stored = await only_schedule(store)
    assert (stored.last_run_at, stored.last_job_id) == (START + 3 * HOUR, "s1@01.02:00")


async def test_a_schedule_that_was_just_disabled_does_not_fire(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.enable_schedule("s1", enabled=False)

    assert list(await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))) == [False]

    assert await store.get("s1@01.01:00") is None
    assert await only_schedule(store) == schedule(enabled=False)


async def test_a_deleted_schedule_does_not_fire(store: Store, clock: FakeClock) -> None:
    assert list(await store.fire(firing(START, schedule_id="gone", next_run_at=START + HOUR))) == [False]
    assert list(await store.count_jobs()) == []


async def test_a_schedule_is_planned_again_when_it_is_enabled_or_disabled(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    fired = await only_schedule(store)

    assert await store.enable_schedule("s1", enabled=False)
    assert await only_schedule(store) == replace(fired, enabled=False, next_run_at=None)
    assert await due_ids(store) == []

    assert await store.enable_schedule("s1", enabled=True)
    assert await only_schedule(store) == replace(fired, next_run_at=None)
    assert await due_ids(store) == ["s1"]


async def test_switching_on_a_schedule_that_is_on_keeps_its_plan(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    fired = await only_schedule(store)

    assert await store.enable_schedule("s1", enabled=True)

    assert await only_schedule(store) == fired


async def test_an_unknown_schedule_cannot_be_switched(store: Store, clock: FakeClock) -> None:
    assert await store.enable_schedule("nobody", enabled=True) is False


async def test_saving_an_unchanged_schedule_keeps_its_plan_and_its_switch(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule(), schedule("s2", name="other")])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    await store.enable_schedule("s2", enabled=False)
    before = list(await store.list_schedules())

    await store.save_schedules([schedule(), schedule("s2", name="other")])

    assert list(await store.list_schedules()) == before


async def test_new_params_of_a_schedule_are_stored_and_its_plan_is_kept(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    before = await only_schedule(store)

    await store.save_schedules([schedule(params='{"to":"all"}')])

    assert await only_schedule(store) == replace(before, params='{"to":"all"}')


@pytest.mark.parametrize(
    "changed",
    [
        schedule(cron_expression="30 * * * *"),
        schedule(timezone="Asia/Kathmandu"),
        schedule(misfire="fire_all"),
        schedule(misfire_limit=24),
    ],
    ids=["cron", "timezone", "misfire", "misfire limit"],
)
async def test_a_changed_rule_is_planned_again_and_remembers_fired_slots(
    store: Store, clock: FakeClock, changed: ScheduleRecord
) -> None:
    await store.save_schedules([schedule()])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))
    await store.enable_schedule("s1", enabled=False)
    await store.enable_schedule("s1", enabled=True)
    await store.fire(firing(next_run_at=START + 3 * HOUR))

    await store.save_schedules([changed])

    assert await only_schedule(store) == replace(
        changed, last_run_at=START + HOUR, last_job_id="s1@01.01:00", next_run_at=None
    )


@pytest.mark.parametrize("limit", [23, None])
async def test_only_a_changed_or_withdrawn_limit_is_planned_again(
    store: Store, clock: FakeClock, limit: int | None
) -> None:
    stored = schedule(misfire="fire_all", misfire_limit=24)
    await store.save_schedules([stored])
    await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))

    await store.save_schedules([stored])
    assert (await only_schedule(store)).next_run_at == START + 2 * HOUR

    await store.save_schedules([replace(stored, misfire_limit=limit)])
    assert ((await only_schedule(store)).next_run_at, (await only_schedule(store)).misfire_limit) == (None, limit)


async def test_a_scheduler_that_read_the_old_rule_does_not_plan_by_it(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule("s1"), schedule("s2", name="other")])
    by_the_old_rules = [firing(START + HOUR, schedule_id=id_, next_run_at=START + 2 * HOUR) for id_ in ("s1", "s2")]
    await store.save_schedules(
        [schedule("s1", cron_expression="30 * * * *"), schedule("s2", name="other", timezone="Asia/Kathmandu")]
    )

    assert [list(await store.fire(one)) for one in by_the_old_rules] == [[True], [True]]

    assert [(record.last_run_at, record.next_run_at) for record in await store.list_schedules()] == [
        (START + HOUR, None),
        (START + HOUR, None),
    ]


def added(schedule_id: str = "s1", name: str = "customer-42") -> ScheduleRecord:
    return replace(schedule(schedule_id, name=name), source=ScheduleSource.ADDED, spec_version=1)


async def test_an_added_schedule_is_enabled_and_due_for_planning(store: Store, clock: FakeClock) -> None:
    assert await store.add_schedule(added())

    assert await only_schedule(store) == added()
    assert await due_ids(store) == ["s1"]


async def test_of_two_callers_that_add_one_schedule_one_succeeds(store: Store, clock: FakeClock) -> None:
    answers = await asyncio.gather(store.add_schedule(added()), store.add_schedule(added()))

    assert sorted(answers) == [False, True]
    assert await only_schedule(store) == added()


async def test_a_stored_schedule_is_not_added_again(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])

    assert not await store.add_schedule(added(name="hourly"))

    assert await only_schedule(store) == schedule()


async def test_changes_of_different_values_at_once_all_take_effect(store: Store, clock: FakeClock) -> None:
    await store.add_schedule(added())

    await asyncio.gather(
        store.change_schedule("s1", ScheduleChange(cron_expression="30 * * * *")),
        store.change_schedule("s1", ScheduleChange(timezone="Asia/Kathmandu")),
        store.change_schedule("s1", ScheduleChange(misfire="fire_all", misfire_limit=3)),
        store.change_schedule("s1", ScheduleChange(params='{"n":1}', spec_version=2)),
    )

    assert await only_schedule(store) == replace(
        added(),
        cron_expression="30 * * * *",
        timezone="Asia/Kathmandu",
        misfire="fire_all",
        misfire_limit=3,
        params='{"n":1}',
        spec_version=2,
    )


@pytest.mark.parametrize(
    ("change", "is_planned_again"),
    [
        (ScheduleChange(cron_expression="30 * * * *"), True),
        (ScheduleChange(timezone="Asia/Kathmandu"), True),
        (ScheduleChange(misfire="skip"), True),
        (ScheduleChange(misfire="fire_all", misfire_limit=3), True),
        (ScheduleChange(cron_expression="0 * * * *", timezone="UTC", misfire="fire_once"), False),
        (ScheduleChange(params='{"n":1}', spec_version=1), False),
    ],
)
async def test_an_added_schedule_with_a_new_rule_is_planned_again(
    store: Store, clock: FakeClock, change: ScheduleChange, is_planned_again: bool
) -> None:
    await store.add_schedule(added())
    await store.fire(firing(next_run_at=START + HOUR))

    assert await store.change_schedule("s1", change)

    assert (await only_schedule(store)).next_run_at == (None if is_planned_again else START + HOUR)


async def test_a_schedule_is_found_by_its_id(store: Store) -> None:
    await store.save_schedules([schedule("s0", name="other"), schedule()])

    assert await store.find_schedule("s1") == schedule()
    assert [await store.find_schedule(unknown) for unknown in ("s2", "", "\0")] == [None] * 3


async def test_a_declared_schedule_is_neither_changed_nor_removed(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])

    assert not await store.change_schedule("s1", ScheduleChange(cron_expression="30 * * * *"))
    assert not await store.remove_schedule("s1")

    assert await only_schedule(store) == schedule()
    assert await store.audit_log(AuditQuery()) == []


async def test_a_removed_schedule_does_not_fire(store: Store, clock: FakeClock) -> None:
    await store.add_schedule(added())
    assert await store.remove_schedule("s1")

    assert list(await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))) == [False]

    assert await store.list_schedules() == []
    assert not await store.remove_schedule("s1")


async def test_a_slot_fires_once_even_if_its_schedule_is_removed_and_added_again(
    store: Store, clock: FakeClock
) -> None:
    await store.add_schedule(added())
    slot = firing(START + HOUR, next_run_at=START + 2 * HOUR)
    await store.fire(slot)

    await store.remove_schedule("s1")
    await store.add_schedule(added())

    assert list(await store.fire(slot)) == [False]


async def test_a_set_of_declared_schedules_leaves_added_ones_alone(store: Store, clock: FakeClock) -> None:
    first = schedule("s1", name="customer-42")
    await store.declare_schedules([Declaration("SendEmail", (first,))], grace=HOUR)
    await store.save_schedules([added()])  # a migration deleted the declared one, and a caller added it again

    assert await store.declare_schedules([Declaration("SendEmail", (schedule("s2"),))], grace=HOUR) == []

    assert {one.id: (one.source, one.enabled) for one in await store.list_schedules()} == {
        "s1": ("added", True),
        "s2": ("declared", True),
    }


async def test_a_declared_schedule_replaces_an_added_one_of_its_name(store: Store, clock: FakeClock) -> None:
    await store.add_schedule(added())

    declared = replace(schedule("s1", name="customer-42"), params='{"n":1}')
    await store.declare_schedules([Declaration("SendEmail", (declared,))], grace=HOUR)

    assert await only_schedule(store) == declared


async def test_changes_of_schedules_are_in_the_audit_log(store: Store, clock: FakeClock) -> None:
    await store.add_schedule(added(), by="user:ann")
    await store.change_schedule("s1", ScheduleChange(cron_expression="30 * * * *"), by="user:ann")
    for enabled in (False, False, True, True):
        await store.enable_schedule("s1", enabled=enabled, by="user:bob")
    await store.remove_schedule("s1", by="user:ann")
    await store.remove_schedule("s1", by="user:bob")

    entries = await store.audit_log(AuditQuery())

    assert [(one.action, one.actor) for one in reversed(entries)] == [
        ("add", "user:ann"),
        ("change", "user:ann"),
        ("pause", "user:bob"),
        ("resume", "user:bob"),
        ("remove", "user:ann"),
    ]
    assert {(one.target, one.job_name) for one in entries} == {("SendEmail/customer-42", "SendEmail")}


async def test_a_change_of_a_schedule_leaves_the_others_as_they_are(store: Store, clock: FakeClock) -> None:
    other = added("s2", "customer-43")
    await store.add_schedule(other)
    await store.add_schedule(added())

    assert await store.change_schedule("s1", ScheduleChange(cron_expression="30 * * * *", params='{"n":1}'))
    assert await store.enable_schedule("s1", enabled=False)
    assert list(await store.fire(firing(START + HOUR, next_run_at=START + 2 * HOUR))) == [False]
    assert not await store.add_schedule(added())
    assert await store.remove_schedule("s1")

    assert await only_schedule(store) == other
    entries = await store.audit_log(AuditQuery())
    actions = ["add", "add", "change", "pause", "remove"]
    assert [one.action for one in reversed(entries)] == actions
    assert [one.target for one in entries] == ["SendEmail/customer-42"] * 4 + ["SendEmail/customer-43"]
