"""`server-jobs schedules`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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


def test_a_declared_schedule_is_paused_and_resumed(scheduled: Shop) -> None:
    assert scheduled.run("schedules", "pause", "Shout", "morning").stdout == "Shout/morning is paused\n"
    assert (listed(scheduled)["enabled"], listed(scheduled)["next_slots"]) == (False, [])
    assert scheduled.run("schedules").stdout.rstrip().endswith("paused")
    assert scheduled.run("schedules", "resume", "Shout", "morning").stdout == "Shout/morning is resumed\n"
    assert listed(scheduled)["enabled"] is True


def test_a_schedule_is_added_changed_run_and_removed(shop: Shop) -> None:
    add = ("add", "Shout", "noon", "--cron", "0 12 * * *", "--params", '{"text":"lunch"}')
    assert shop.run("schedules", *add).stdout == "Shout/noon is added\n"
    shop.run("schedules", "add", "Shout", long := "n" * 63, "--cron", "0 1 * * *", "--params", '{"text":"x"}')
    assert f"Shout/{long} " in shop.run("schedules").stdout
    shop.run("schedules", "remove", "Shout", long)
    shop.run("schedules", "change", "Shout", "noon", "--timezone", "Europe/Berlin")
    row = listed(shop)
    assert (row["cron"], row["timezone"], row["source"]) == ("0 12 * * *", "Europe/Berlin", "added")

    answer = cast("dict[str, object]", shop.json("schedules", "run", "Shout", "noon"))
    (record,) = shop.records()
    assert (record.id, record.correlation_id) == (answer["job_id"], "Shout/noon")
    assert '"text":"lunch"' in record.params

    assert shop.run("schedules", "remove", "Shout", "noon").stdout == "Shout/noon is removed\n"
    assert shop.json("schedules") == []
    entries = cast("list[dict[str, object]]", shop.json("audit"))
    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("remove", "Shout/noon"),
        ("change", "Shout/noon"),
        ("remove", f"Shout/{long}"),
        ("add", f"Shout/{long}"),
        ("add", "Shout/noon"),
    ]


def test_the_slots_of_a_range_are_enqueued_once(scheduled: Shop) -> None:
    days = ("backfill", "morning", "--from", "2026-03-27", "--to", "2026-03-30")
    assert "3 slots would be enqueued" in (dry := scheduled.run("schedules", *days, "--dry-run")).stderr
    assert dry.stdout.splitlines()[1:] == [
        "2026-03-28T09:00:00+01:00 enqueued -",
        "2026-03-29T09:00:00+02:00 enqueued -",
    ]
    assert scheduled.records() == []

    first = cast("dict[str, object]", scheduled.json("schedules", *days))
    assert (first["action"], first["dry_run"]) == ("backfill", False)
    slots = cast("list[dict[str, object]]", first["slots"])
    assert [one["outcome"] for one in slots] == ["enqueued"] * 3
    assert sorted(record.id for record in scheduled.records()) == [one["job_id"] for one in slots]
    later = scheduled.run(
        "schedules", "backfill", "Shout/morning", "--from", "2026-03-29T09:00+02:00", "--to", "2026-04-01"
    )
    assert "2 slots enqueued, 1 left out: they have a job" in later.stderr
    assert "5 left out" in scheduled.run("schedules", *days[:3], "2026-03-27", "--to", "2026-04-01", "--again").stderr
    assert len(scheduled.records()) == 5
    one = scheduled.run("schedules", "backfill", "Shout/morning", "--from", "2026-03-26", "--to", "2026-03-27")
    assert one.stderr == "1 slot enqueued\n"


def test_a_schedule_is_named_by_its_label_or_by_its_name(scheduled: Shop) -> None:
    for name in (("morning",), ("Shout/morning",), ("Shout", "morning")):
        assert scheduled.run("schedules", "pause", *name).stdout == "Shout/morning is paused\n"
    assert scheduled.run("schedules", "add", "Shout/noon", "--cron", "0 12 * * *", "--params", '{"text":"x"}').stdout
    scheduled.execute("UPDATE cron_jobs SET name = 'morning', job_name = 'Other' WHERE name = 'noon'")
    several = scheduled.run("schedules", "pause", "morning")
    assert "several schedules are called 'morning'; write one of Other/morning, Shout/morning" in several.stderr


def test_params_may_take_the_slot(shop: Shop) -> None:
    add = ("add", "Shout", "noon", "--cron", "0 12 * * *", "--params")
    assert 'not "now"' in shop.run("schedules", *add, '{"text": {"$slot": "now"}}').stderr
    shop.run("schedules", *add, '{"text": {"$slot": "date"}}')
    shop.run("schedules", "run", "Shout", "noon")
    (record,) = shop.records()
    assert f"{datetime.now(UTC):%Y-%m-%d}" in record.params


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("pause", "Shout", "mornin"), 2, "did you mean 'Shout/morning'?"),
        (("remove", "Shout", "morning"), 2, "Shout/morning is declared in code or in a spec"),
        (("add", "Shout", "morning", "--cron", "0 7 * * *", "--params", '{"text":"x"}'), 2, "is stored already"),
        (("add", "Shout", "noon", "--cron", "0 7 * * *"), 1, "/text"),
        (("add", "Shout", "noon", "--cron", "0 7 * *", "--params", '{"text":"x"}'), 2, "has 4 fields, not 5"),
        (("add", "Shout", "noon"), 2, "needs --cron"),
        (("run", "Shout", "morning", "--cron", "0 7 * * *"), 2, "run takes no values"),
        (("pause",), 2, "`server-jobs schedules pause JOB NAME`"),
        (("add", "Shout", "--cron", "0 7 * * *"), 2, "`server-jobs schedules add JOB NAME`"),
        (("pause", "mornin"), 2, "no schedule is called 'mornin'; did you mean 'Shout/morning'?"),
        (("pause", "Shout/mornin"), 2, "no schedule is called 'Shout/mornin'; did you mean 'Shout/morning'?"),
        (("backfill", "morning"), 2, "backfill needs --from"),
        (("run", "morning", "--from", "2026-01-31"), 2, "run takes no --from"),
        (("run", "morning", "--again"), 2, "--to, --again and --dry-run belong to backfill, not to run"),
        (("backfill", "morning", "--from", "soon"), 2, "--from must be a date or a time such as 2026-01-31, "),
        (("backfill", "morning", "--from", "2026-01-31", "--to", "x"), 2, "--to must be a date or a time"),
        (("backfill", "morning", "--from", "2026-01-31", "--to", "9026-01-31"), 2, "is in the future; end the range"),
        (("backfill", "morning", "--from", "2019-01-31", "--to", "2024-01-31"), 2, "has 1,826 slots of Shout/morning"),
    ],
)
def test_a_refused_call_says_why_and_changes_nothing(
    scheduled: Shop, arguments: tuple[str, ...], status: int, message: str
) -> None:
    before = scheduled.json("schedules")
    result = scheduled.run("schedules", *arguments)
    assert (result.exit_code, message in result.stderr) == (status, True), result.output
    assert scheduled.json("schedules") == before


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
    scheduled.run("schedules", "pause", "Shout", "morning")
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
