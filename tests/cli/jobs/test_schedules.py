"""`server-jobs schedules`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

import pytest
from server_jobs.domain.ids import schedule_id

from tests.cli.shop import Shop

MORNING = schedule_id("Shout", "morning")


@pytest.fixture
def scheduled(shop: Shop) -> Shop:
    """Return the shop with the schedule of Shout, as a migration would store it."""
    shop.execute(
        "INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, params, created_at, updated_at) "
        """VALUES (:id, 'Shout', 'morning', '0 9 * * *', 'Europe/Berlin', '{"text":"good morning"}', 0, 0)""",
        id=MORNING,
    )
    return shop


def listed(shop: Shop, *arguments: str) -> dict[str, object]:
    (row,) = cast("list[dict[str, object]]", shop.json("schedules", *arguments))
    return row


def test_the_next_slots_are_in_the_zone_of_the_schedule(scheduled: Shop) -> None:
    slots = [datetime.fromisoformat(slot) for slot in cast("list[str]", listed(scheduled, "--next", "3")["next_slots"])]
    assert [slot.hour for slot in slots] == [9, 9, 9]
    assert all(slot.utcoffset() in (timedelta(hours=1), timedelta(hours=2)) for slot in slots)
    assert sorted({slot.date() for slot in slots}) == [slot.date() for slot in slots]
    output = scheduled.run("schedules").stdout
    assert "Shout/morning" in output
    assert f"{slots[0]:%a %Y-%m-%d} 09:00" in output


def test_a_slot_that_waits_to_be_fired_comes_first(scheduled: Shop) -> None:
    scheduled.execute("UPDATE cron_jobs SET next_run_at = 0")
    first, second = cast("list[str]", listed(scheduled)["next_slots"])
    assert first == "1970-01-01T01:00:00+01:00"
    assert second > "2026"


def test_the_misfire_limit_is_shown(scheduled: Shop) -> None:
    assert listed(scheduled)["misfire_limit"] is None
    scheduled.execute("UPDATE cron_jobs SET misfire = 'fire_all', misfire_limit = 24")
    assert (listed(scheduled)["misfire"], listed(scheduled)["misfire_limit"]) == ("fire_all", 24)
    assert "fire_all, at most 24" in scheduled.run("schedules").stdout


@pytest.mark.parametrize("name", ["Shout/morning", MORNING])
def test_a_schedule_is_switched_off_and_on(scheduled: Shop, name: str) -> None:
    assert scheduled.run("schedules", "--disable", name).stdout == "Shout/morning is off\n"
    assert (listed(scheduled)["enabled"], listed(scheduled)["next_slots"]) == (False, [])
    assert scheduled.run("schedules").stdout.rstrip().endswith("off")
    assert scheduled.run("schedules", "--enable", name).stdout == "Shout/morning is on\n"
    assert listed(scheduled)["enabled"] is True


def test_an_unknown_schedule_gets_a_suggestion(scheduled: Shop) -> None:
    result = scheduled.run("schedules", "--disable", "Shout/mornin")
    assert result.exit_code == 2
    assert "did you mean 'Shout/morning'?" in result.stderr


def test_no_schedules_says_where_they_come_from(shop: Shop) -> None:
    result = shop.run("schedules")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "declare them in x-job of a spec" in result.stderr


@pytest.mark.parametrize(("column", "value"), [("cron_expression", "\x1b[2J"), ("timezone", "../../etc/passwd")])
def test_an_unreadable_row_is_reported(scheduled: Shop, column: str, value: str) -> None:
    scheduled.execute(f"UPDATE cron_jobs SET {column} = :value", value=value)
    row = listed(scheduled)
    assert row["next_slots"] == []
    assert row["problem"]
    output = scheduled.run("schedules").output
    assert "Shout/morning" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("command", [("worker", "--until-empty"), ("tick",)], ids=["worker", "tick"])
def test_schedules_of_code_are_stored_and_fire(shop: Shop, command: tuple[str, ...]) -> None:
    shop.run(*command)
    assert listed(shop)["name"] == "morning"
    shop.execute("UPDATE cron_jobs SET next_run_at = 0")
    shop.run(*command)
    (record,) = shop.records()
    assert (record.job_name, record.status) == ("Shout", "completed")
    assert '"good morning"' in record.params


@pytest.mark.parametrize("command", [("worker", "--until-empty"), ("tick",)], ids=["worker", "tick"])
def test_a_schedule_that_an_operator_switched_off_stays_off(scheduled: Shop, command: tuple[str, ...]) -> None:
    scheduled.run("schedules", "--disable", "Shout/morning")
    scheduled.run(*command)
    assert listed(scheduled)["enabled"] is False


@pytest.mark.parametrize("next_run_at", [0, None])
def test_an_unknown_zone_is_a_problem_of_one_schedule(scheduled: Shop, next_run_at: int | None) -> None:
    scheduled.run("tick")
    scheduled.execute("UPDATE cron_jobs SET timezone = 'Mars/Olympus', next_run_at = :at", at=next_run_at)
    assert str(listed(scheduled)["problem"]).startswith("unknown time zone 'Mars/Olympus'")
    assert "unknown time zone 'Mars/Olympus'" in scheduled.run("schedules").stdout
    result = scheduled.run("tick")
    assert result.exit_code == 1
    assert "schedule morning of Shout cannot fire: unknown time zone 'Mars/Olympus'" in result.stderr
    assert "1 schedules could not fire" in result.stderr
    scheduled.execute("UPDATE cron_jobs SET timezone = 'Europe/Berlin'")
    assert scheduled.run("tick").exit_code == 0
