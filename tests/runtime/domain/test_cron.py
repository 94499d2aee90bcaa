"""Cron expressions in time zones, compared with a minute-by-minute walk around clock changes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.domain.cron import check_cron, count_slots, due_slots, next_slot
from server_jobs.domain.options import Misfire, Schedule
from server_jobs.errors import InvalidOptionError, ScheduleError

from tests.runtime.domain.cron_walk import BOUNDS, EXPRESSIONS, Walk, changes, matches

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ZONES = {
    "Europe/Berlin": (2024, 2028),
    "Europe/Dublin": (2024, 2028),
    "America/New_York": (2024, 2028),
    "America/St_Johns": (2024, 2028),
    "America/Sao_Paulo": (2016, 2019),
    "America/Santiago": (2024, 2028),
    "America/Havana": (2024, 2028),
    "Africa/Cairo": (2023, 2027),
    "Africa/Casablanca": (2024, 2027),
    "Asia/Beirut": (2024, 2028),
    "Asia/Kathmandu": (1985, 1986),
    "Australia/Lord_Howe": (2024, 2028),
    "Pacific/Apia": (2010, 2012),
    "Pacific/Chatham": (2024, 2027),
}


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return wall(text).replace(tzinfo=UTC)


def local(text: str, timezone: str) -> datetime:
    return wall(text).replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def slots_between(expression: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    slot = next_slot(expression, timezone, start)
    while slot <= end:
        found.append(slot)
        slot = next_slot(expression, timezone, slot)
    return found


@cache
def walk_around(timezone: str, change: datetime) -> Walk:
    return Walk.through(timezone, change - 5 * HOUR, change + 5 * HOUR)


@cache
def changes_in_ten_years(timezone: str) -> tuple[datetime, ...]:
    first, _ = ZONES[timezone]
    return changes(timezone, datetime(first, 1, 1, tzinfo=UTC), datetime(first + 10, 1, 1, tzinfo=UTC))


def numbers(field: int) -> st.SearchStrategy[str]:
    lowest, highest = BOUNDS[field]
    return st.integers(lowest, highest).map(str)


def ranges(field: int) -> st.SearchStrategy[str]:
    ends = st.tuples(st.integers(*BOUNDS[field]), st.integers(*BOUNDS[field]))
    return ends.filter(lambda ends: ends[0] != ends[1] and ends != (7, 0)).map(lambda ends: f"{ends[0]}-{ends[1]}")


@st.composite
def stepped_ranges(draw: st.DrawFn, field: int) -> str:
    lowest, highest = BOUNDS[field]
    first = draw(st.integers(lowest, highest - 1))
    last = draw(st.integers(first + 1, highest))
    return f"{first}-{last}/{draw(st.integers(1, highest - lowest))}"


def fields(field: int) -> st.SearchStrategy[str]:
    """`*`, `*/n`, or a list of values and ranges."""
    lowest, highest = BOUNDS[field]
    steps = st.integers(1, highest - lowest).map(lambda step: f"*/{step}")
    items = st.lists(numbers(field) | ranges(field) | stepped_ranges(field), min_size=1, max_size=3).map(",".join)
    return st.just("*") | steps | items


@st.composite
def expressions(draw: st.DrawFn, *, near: datetime | None = None) -> str:
    """Draw any expression; with `near`, one that is due on that day or the days around it."""
    minute, hour = draw(fields(0)), draw(fields(1))
    if near is not None:
        return f"{minute} {hour} * * *"
    month = draw(st.just("*") | fields(3) | st.sampled_from(["JAN", "feb,Dec", "OCT-mar"]))
    day = draw(fields(2) | st.sampled_from(["L", "15,L"]))
    if day == "*":
        weekday = draw(fields(4) | st.sampled_from(["MON", "mon-FRI", "SAT-sun", "MON#1", "5#2,TUE#4", "L5", "L0,l3"]))
    else:
        weekday = draw(st.just("*") | numbers(4) | ranges(4))
        day = day if weekday == "*" or "/" not in day else "13"
    return f"{minute} {hour} {day} {month} {weekday}"


@given(st.data())
def test_any_times_around_any_change_give_the_slots_of_a_walk(data: st.DataObject) -> None:
    timezone = data.draw(st.sampled_from(list(ZONES)))
    change = data.draw(st.sampled_from(changes_in_ten_years(timezone)))
    expression = data.draw(expressions(near=change))
    walk = walk_around(timezone, change)
    expected = walk.slots(expression)

    end = walk.start + (len(walk.walls) - 1) * timedelta(minutes=1)
    step = max(1, len(expected) // 20)
    for after, slot in list(pairwise([walk.start, *expected]))[::step]:
        assert next_slot(expression, timezone, after) == slot
    assert next_slot(expression, timezone, expected[-1] if expected else walk.start) > end


@given(expressions(), st.datetimes(wall("2020-01-01"), wall("2030-01-01")))
def test_any_expression_is_next_due_at_the_first_time_that_matches(expression: str, after: datetime) -> None:
    try:
        slot = next_slot(expression, "UTC", after.replace(tzinfo=UTC))
    except ScheduleError:
        assert not any(_day_can_match(expression, wall("2024-01-01") + n * DAY) for n in range(4 * 366))
        return

    assert matches(expression, slot.replace(tzinfo=None))
    assert slot.replace(tzinfo=None) > after
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    # The days before the slot do not match at all, nor do the minutes of its day.
    while moment.date() < slot.date():
        assert not _day_can_match(expression, moment) or not _is_due_until_midnight(expression, moment)
        moment = datetime.combine(moment.date() + DAY, datetime.min.time())
    while moment < slot.replace(tzinfo=None):
        assert not matches(expression, moment)
        moment += timedelta(minutes=1)


def _day_can_match(expression: str, moment: datetime) -> bool:
    return matches("* * " + " ".join(expression.split()[2:]), moment)


def _is_due_until_midnight(expression: str, moment: datetime) -> bool:
    minutes = (moment + n * timedelta(minutes=1) for n in range(24 * 60))
    return any(matches(expression, minute) for minute in minutes if minute.date() == moment.date())


@given(
    st.sampled_from(list(ZONES)),
    expressions(near=wall("2026-01-01")),
    st.datetimes(wall("2005-01-01"), wall("2030-01-01")),
    st.integers(0, 59),
)
def test_slots_strictly_increase_and_do_not_depend_on_where_the_search_began(
    timezone: str, expression: str, moment: datetime, seconds: int
) -> None:
    after = moment.replace(tzinfo=UTC)
    first = next_slot(expression, timezone, after)
    second = next_slot(expression, timezone, first)

    assert after < first < second
    assert next_slot(expression, timezone, first - timedelta(seconds=seconds + 1)) <= first
    assert next_slot(expression, timezone, first - timedelta(microseconds=1)) == first
    assert next_slot(expression, timezone, first + timedelta(microseconds=1)) == second


def test_a_repeated_wall_time_fires_at_its_first_occurrence() -> None:
    assert slots_between("30 1 * * *", "America/New_York", utc("2026-11-01"), utc("2026-11-02 12:00")) == [
        utc("2026-11-01 05:30"),
        utc("2026-11-02 06:30"),
    ]


def test_a_fixed_time_that_is_skipped_runs_at_the_first_instant_after_the_gap() -> None:
    assert slots_between("30 2 * * *", "Europe/Berlin", utc("2026-03-28 12:00"), utc("2026-03-30 12:00")) == [
        utc("2026-03-29 01:00"),
        utc("2026-03-30 00:30"),
    ]


def test_two_fixed_times_in_one_gap_run_once() -> None:
    assert slots_between("0,30 2 * * *", "Europe/Berlin", utc("2026-03-28 12:00"), utc("2026-03-29 12:00")) == [
        utc("2026-03-29 01:00")
    ]


def test_every_hour_follows_elapsed_time_through_both_changes() -> None:
    spring = slots_between("30 * * * *", "Europe/Berlin", utc("2026-03-28 23:00"), utc("2026-03-29 03:00"))
    autumn = slots_between("30 * * * *", "Europe/Berlin", utc("2026-10-24 23:00"), utc("2026-10-25 03:00"))

    assert [slot.strftime("%H:%M") for slot in spring] == ["23:30", "00:30", "01:30", "02:30"]
    assert [slot.strftime("%H:%M") for slot in autumn] == ["23:30", "00:30", "01:30", "02:30"]


def test_midnight_runs_on_a_day_that_has_none() -> None:
    assert next_slot("0 0 * * *", "America/Sao_Paulo", utc("2018-11-03 12:00")) == utc("2018-11-04 03:00")


def test_a_day_that_a_zone_skips_has_its_runs_at_the_end_of_the_gap() -> None:
    assert slots_between("0 9 * * *", "Pacific/Apia", utc("2011-12-29"), utc("2011-12-31 12:00")) == [
        local("2011-12-29 09:00", "Pacific/Apia"),
        utc("2011-12-30 10:00"),
        local("2011-12-31 09:00", "Pacific/Apia"),
    ]


def test_a_change_of_half_an_hour_is_known() -> None:
    assert slots_between("45 1 * * *", "Australia/Lord_Howe", utc("2026-04-04"), utc("2026-04-06")) == [
        utc("2026-04-04 14:45"),
        utc("2026-04-05 15:15"),
    ]


def test_the_answer_is_in_utc_and_the_question_in_any_zone() -> None:
    slot = next_slot("0 9 * * MON", "Europe/Berlin", datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")))

    assert slot == utc("2026-01-05 08:00")
    assert slot.tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="time zone"):
        next_slot("* * * * *", "UTC", wall("2026-01-01"))


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "0 9 * * MON",
        "0 9 * * mon-fri",
        "  0\t9 1 JAN *  ",
        "*/15 8-18/2 1,15 1-6 *",
        "59 23 31 12 7",
        "0 0 29 2 *",
        "0 0 29 FEB *",
        "0 22-6 * NOV-FEB SAT-SUN",
        "0 0 L * *",
        "0 0 15,L * *",
        "0 0 * * 1#2,FRI#5",
        "0 0 * * L5",
        "00 07 * * *",
        "0 0 13 * FRI",
    ],
)
def test_five_plain_fields_are_accepted(expression: str) -> None:
    check_cron(expression, "Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        ("@daily", "write '0 0 * * *'"),
        ("@Midnight", "write '0 0 * * *'"),
        ("@hourly", "write '0 * * * *'"),
        ("@weekly", "write '0 0 * * 0'"),
        ("@monthly", "write '0 0 1 * *'"),
        ("@yearly", "write '0 0 1 1 *'"),
        ("@annually", "write '0 0 1 1 *'"),
        ("@reboot", "write five fields"),
        ("", "has 0 fields, not 5"),
        ("0 9 * *", "has 4 fields, not 5"),
        ("0 0 9 * * *", "has 6 fields, not 5"),
        ("0 0 9 * * * 2026", "has 7 fields, not 5"),
        ("60 * * * *", "'60' is not 0-59"),
        ("0 24 * * *", "'24' is not 0-23"),
        ("0 0 0 * *", "'0' is not 1-31"),
        ("0 0 32 * *", "'32' is not 1-31"),
        ("0 0 * 13 *", "'13' is not 1-12 or JAN-DEC"),
        ("0 0 * * 8", "'8' is not 0-7 or SUN-SAT"),
        ("0 0 * * MAN", "'man' is not 0-7 or SUN-SAT"),
        ("0 0 * JANUARY *", "'january' is not 1-12 or JAN-DEC"),
        ("0 0 * MON *", "'mon' is not 1-12"),
        ("-5 * * * *", "not understood"),
        ("1.5 * * * *", "not understood"),
        ("1,,2 * * * *", "not understood"),
        ("1- * * * *", "not understood"),
        ("*-5 * * * *", "not understood"),
        ("\n0 0 * * *", "not understood"),
        ("0 0 * * *\n", "not understood"),
        ("0\N{NO-BREAK SPACE}0 * * *", "has 4 fields"),
        ("\N{ARABIC-INDIC DIGIT FIVE} * * * *", "not understood"),
        ("*/0 * * * *", "a step is 1 to 59"),
        ("*/60 * * * *", "a step is 1 to 59"),
        ("0 */24 * * *", "a step is 1 to 23"),
        ("0-30/99 * * * *", "a step is 1 to 59"),
        ("0/15 * * * *", "write '0-59/15'"),
        ("5-5 * * * *", "write '5'"),
        ("0 0 * * SUN-0", "write 'sun'"),
        ("0 0 * * 7-0", "write '7'"),
        ("0 22-6/2 * * *", "cannot have a step"),
        ("*,5 * * * *", "'*' cannot be part of a list"),
        ("0 0 ? * *", "write '*'"),
        ("0 0 * * ?", "write '*'"),
        ("0 0 15W * *", "nearest weekday"),
        ("0 0 LW * *", "nearest weekday"),
        ("R * * * *", "random and hashed"),
        ("R(0-9) * * * *", "random and hashed"),
        ("H/15 * * * *", "random and hashed"),
        ("0 H(0-3) * * *", "random and hashed"),
        ("0 L * * *", "'l' is not 0-23"),
        ("0 0 * L *", "'l' is not 1-12"),
        ("0 0 * * L", "'l' is not 0-7"),
        ("0 0 * * 5L", "'5l' is not 0-7"),
        ("0 0 * * MON#6", "not understood"),
        ("0 0 * * MON-FRI#1", "not understood"),
        ("0 0 * * MON#1,TUE", "cannot be mixed"),
        ("0 0 1 * MON#1", "cannot be combined"),
        ("0 0 1 * L5", "cannot be combined"),
        ("0 0 */2 * MON", "write the days"),
        ("0 0 1 * */2", "write the days"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("9" * 5000 + " * * * *", "is not 0-59"),
    ],
)
def test_ambiguous_patterns_are_refused_with_advice(expression: str, advice: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_cron(expression, "UTC")

    assert advice in str(raised.value)
    assert repr(expression) in str(raised.value)


@pytest.mark.parametrize(
    ("timezone", "advice"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("europe/berlin", "'Europe/Berlin'"),
        ("Berlin", "'Europe/Berlin'"),
        ("New York", "'America/New_York'"),
        ("America/NewYork", "'America/New_York'"),
        ("localtime", "unknown time zone"),
        ("Factory", "unknown time zone"),
        ("America", "unknown time zone 'America'"),
        ("", "write an IANA name"),
        ("+02:00", "write an IANA name such as 'Europe/Berlin' or 'UTC': no offset or abbreviation says when clocks"),
        ("UTC+2", "no offset or abbreviation says when clocks change"),
        ("PST", "no offset or abbreviation says when clocks change"),
        ("Paris", "did you mean 'Europe/Paris'?"),
        ("utc", "unknown time zone 'utc'; did you mean 'UTC'?"),
        ("../../etc/passwd", "unknown time zone"),
        ("/etc/localtime", "unknown time zone"),
        ("a\0b", "unknown time zone"),
        ("x" * 5000, "unknown time zone"),
        ("\ud800", "unknown time zone"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_names(timezone: str, advice: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_cron("0 0 * * *", timezone)

    assert advice in str(raised.value)


@pytest.mark.parametrize("timezone", ["Nowhere/City", "America", "../x", "a\0b", "", "x" * 5000])
def test_a_stored_schedule_of_an_unknown_zone_is_refused_when_it_is_read(timezone: str) -> None:
    with pytest.raises(ScheduleError, match="unknown time zone"):
        next_slot("0 0 * * *", timezone, utc("2026-01-01"))


@given(st.text(max_size=30) | st.text("*/,-#LRH?W0123456789@ \t", max_size=20))
def test_any_text_is_either_accepted_or_refused_as_a_schedule_error(text: str) -> None:
    try:
        slot = next_slot(text, "Europe/Berlin", utc("2026-01-01"))
    except ScheduleError:
        return
    assert slot > utc("2026-01-01")


NOON = utc("2026-01-01 12:00")
HOURLY = ("0 * * * *", "UTC")


@pytest.mark.parametrize("misfire", Misfire)
def test_a_schedule_that_has_no_plan_yet_is_planned_and_not_fired(misfire: Misfire) -> None:
    assert due_slots(misfire, *HOURLY, None, NOON) == ((), NOON + HOUR)


@pytest.mark.parametrize("misfire", Misfire)
def test_a_slot_in_the_future_is_waited_for(misfire: Misfire) -> None:
    assert due_slots(misfire, *HOURLY, NOON + HOUR, NOON) == ((), NOON + HOUR)


@pytest.mark.parametrize("misfire", Misfire)
def test_a_slot_found_in_time_is_fired(misfire: Misfire) -> None:
    assert due_slots(misfire, *HOURLY, NOON, NOON) == ((NOON,), NOON + HOUR)
    assert due_slots(misfire, *HOURLY, NOON, NOON + timedelta(seconds=60)) == ((NOON,), NOON + HOUR)


def test_skip_fires_no_slot_that_is_more_than_a_minute_late() -> None:
    late = NOON + timedelta(seconds=60, milliseconds=1)

    assert due_slots(Misfire.SKIP, *HOURLY, NOON, late) == ((), NOON + HOUR)
    assert due_slots(Misfire.SKIP, *HOURLY, NOON - 5 * HOUR, NOON) == ((NOON,), NOON + HOUR)


def test_fire_once_fires_the_newest_of_the_slots_that_passed() -> None:
    now = NOON + timedelta(minutes=30)

    assert due_slots(Misfire.FIRE_ONCE, *HOURLY, NOON - 5 * HOUR, now) == ((NOON,), NOON + HOUR)


def test_fire_all_fires_every_slot_that_passed_oldest_first() -> None:
    slots, following = due_slots(Misfire.FIRE_ALL, *HOURLY, NOON - 2 * HOUR, NOON + timedelta(minutes=1))

    assert slots == (NOON - 2 * HOUR, NOON - HOUR, NOON)
    assert following == NOON + HOUR


def test_fire_all_continues_where_its_limit_stopped_it() -> None:
    slots, following = due_slots(Misfire.FIRE_ALL, *HOURLY, NOON - 5 * HOUR, NOON, limit=4)

    assert slots == (NOON - 5 * HOUR, NOON - 4 * HOUR, NOON - 3 * HOUR, NOON - 2 * HOUR)
    assert due_slots(Misfire.FIRE_ALL, *HOURLY, following, NOON, limit=4) == ((NOON - HOUR, NOON), NOON + HOUR)


@pytest.mark.parametrize("misfire_limit", [1, 2, 5, 6, 7, 1000])
def test_fire_all_with_a_limit_fires_the_newest_slots_that_passed(misfire_limit: int) -> None:
    passed = tuple(NOON - hours * HOUR for hours in (5, 4, 3, 2, 1, 0))

    due = due_slots(Misfire.FIRE_ALL, *HOURLY, passed[0], NOON, misfire_limit=misfire_limit)

    assert due == (passed[-misfire_limit:], NOON + HOUR)


def test_a_limit_that_takes_several_rounds_fires_no_slot_twice_and_lets_no_older_one_through() -> None:
    planned, fired = NOON - 3 * DAY, list[datetime]()
    for minutes in range(6):
        now = NOON + timedelta(minutes=minutes)
        slots, planned = due_slots(Misfire.FIRE_ALL, "* * * * *", "UTC", planned, now, misfire_limit=250, limit=100)
        fired += slots

    assert fired == [NOON + timedelta(minutes=minutes) for minutes in range(-249, 6)]


def test_a_limit_lets_the_newest_slots_of_a_year_through_without_walking_through_it() -> None:
    started = perf_counter()
    minutes, _ = due_slots(Misfire.FIRE_ALL, "* * * * *", "UTC", NOON - 365 * DAY, NOON, misfire_limit=24)
    days, _ = due_slots(Misfire.FIRE_ALL, "0 0 29 2 *", "UTC", utc("2016-02-29"), NOON, misfire_limit=2)

    assert minutes == tuple(NOON - n * timedelta(minutes=1) for n in reversed(range(24)))
    assert days == (utc("2020-02-29"), utc("2024-02-29"))
    assert perf_counter() - started < 10


@pytest.mark.parametrize("misfire_limit", [0, -1, 1001, True])
def test_a_limit_that_no_schedule_can_have_is_refused(misfire_limit: int) -> None:
    with pytest.raises(InvalidOptionError, match="misfire_limit must be "):
        due_slots(Misfire.FIRE_ALL, *HOURLY, NOON, NOON, misfire_limit=misfire_limit)
    with pytest.raises(InvalidOptionError, match="misfire_limit must be "):
        Schedule(name="n", cron="0 * * * *", misfire=Misfire.FIRE_ALL, misfire_limit=misfire_limit)


@pytest.mark.parametrize("misfire", [Misfire.SKIP, Misfire.FIRE_ONCE])
def test_a_misfire_limit_requires_fire_all(misfire: Misfire) -> None:
    with pytest.raises(InvalidOptionError, match=r"misfire_limit works only with Misfire\.FIRE_ALL"):
        Schedule(name="n", cron="0 * * * *", misfire=misfire, misfire_limit=3)


def test_slots_are_counted_up_to_a_bound() -> None:
    assert count_slots(*HOURLY, NOON - 5 * HOUR, NOON) == 5
    assert count_slots(*HOURLY, NOON, NOON) == 0
    assert count_slots("* * * * *", "UTC", NOON - 365 * DAY, NOON, most=20) == 20


def test_fire_once_finds_the_newest_slot_of_a_year_without_walking_through_it() -> None:
    walked = due_slots(Misfire.FIRE_ONCE, "* * * * *", "UTC", NOON - 365 * DAY, NOON)
    rare = due_slots(Misfire.FIRE_ONCE, "0 0 29 2 *", "UTC", utc("2016-02-29"), NOON)

    assert walked == ((NOON,), NOON + timedelta(minutes=1))
    assert rare == ((utc("2024-02-29"),), utc("2028-02-29"))


@pytest.mark.parametrize("misfire", Misfire)
def test_a_plan_that_is_not_a_slot_of_the_rule_never_fires_itself(misfire: Misfire) -> None:
    planned = NOON + timedelta(minutes=7)

    assert due_slots(misfire, *HOURLY, planned, planned + timedelta(seconds=1)) == ((), NOON + HOUR)


@given(
    st.sampled_from([Misfire.FIRE_ONCE, Misfire.FIRE_ALL]),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from(["*/7 * * * *", "30 1,2 * * *", "0 * * * *"]),
    st.none() | st.integers(1, 8),
)
def test_each_slot_fires_at_most_once_and_in_order_even_with_a_late_scheduler(
    misfire: Misfire, waits: list[int], expression: str, misfire_limit: int | None
) -> None:
    now = utc("2026-03-28 22:11")
    planned: datetime | None = None
    fired: list[datetime] = []
    for quarters in waits:
        slots, planned = due_slots(
            misfire, expression, "Europe/Berlin", planned, now, misfire_limit=misfire_limit, limit=5
        )
        assert len(slots) <= min(5, misfire_limit or 5)
        if misfire_limit is not None and slots:
            assert len(slots_between(expression, "Europe/Berlin", slots[0], now)) < misfire_limit
        assert all(slot <= now for slot in slots)
        fired += slots
        now += quarters * timedelta(minutes=15)

    assert fired == sorted(set(fired))
    if misfire is Misfire.FIRE_ALL and misfire_limit is None and fired:
        assert fired == slots_between(expression, "Europe/Berlin", fired[0] - timedelta(minutes=1), fired[-1])


def test_a_thousand_random_instants_agree_with_a_walk_of_their_day() -> None:
    chance = random.Random(7)
    walk = Walk.through("America/New_York", utc("2026-11-01"), utc("2026-11-02"))
    for expression in EXPRESSIONS:
        slots = walk.slots(expression)
        for _ in range(100):
            after = walk.start + timedelta(seconds=chance.randrange(20 * 3600))
            expected = next((slot for slot in slots if slot > after), None)
            if expected is not None:
                assert next_slot(expression, "America/New_York", after) == expected
