"""Cron expressions around the clock changes from 2015 to 2040 in zones of every kind, compared with a walk.

A run takes some changes of each zone; `make test-long` takes all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from server_jobs.domain.cron import next_slot

from tests.runtime.domain.cron_walk import EXPRESSIONS, Walk, changes
from tests.seeds import chosen_seed
from tests.slow import slow

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
DRAWN = 2
BEFORE, AFTER = timedelta(hours=12), timedelta(hours=24)
YEARS = (2015, 2040)
KINDS: dict[str, tuple[str, ...]] = {
    "north": (
        *("Europe/Berlin", "Europe/Dublin", "Europe/Chisinau", "Atlantic/Azores", "America/New_York"),
        *("America/Los_Angeles", "America/Mexico_City", "America/St_Johns"),
    ),
    "south": (
        *("Australia/Sydney", "Australia/Adelaide", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Norfolk"),
        *("Pacific/Apia", "Pacific/Fiji", "America/Sao_Paulo", "Africa/Windhoek"),
    ),
    "at midnight": (
        *("Asia/Beirut", "Asia/Amman", "Asia/Damascus", "Asia/Tehran", "Africa/Cairo", "America/Havana"),
        *("America/Santiago", "America/Asuncion", "America/Nuuk", "America/Scoresbysund"),
    ),
    "on days that move": ("Africa/Casablanca", "Asia/Gaza", "Asia/Jerusalem"),
    "by another time than an hour": ("Australia/Lord_Howe", "Antarctica/Troll", "Antarctica/Casey"),
    "for good": (
        *("Europe/Istanbul", "Europe/Volgograd", "Europe/Saratov", "Asia/Almaty", "Asia/Magadan", "Asia/Pyongyang"),
        *("Africa/Juba", "Africa/Khartoum", "Africa/Sao_Tome", "America/Cancun", "America/Caracas"),
        *("America/Punta_Arenas", "America/Vancouver", "Antarctica/Vostok"),
    ),
}
FORMER_CHANGES = {"Asia/Kathmandu": 1986, "Pacific/Apia": 2011, "Europe/Samara": 2010, "America/Caracas": 2007}
UNCHANGED = ("UTC", "Etc/GMT+12", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Marquesas", "Pacific/Kiritimati")

Figure = Callable[[str], None]


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that records a figure, which conftest prints."""
    return lambda text: record_property("figure", text)


def compare_around(timezone: str, instant: datetime) -> int:
    """Compare next_slot with the walk for every expression, and return the number of slots."""
    start, end = instant - BEFORE, instant + AFTER
    walk, count = Walk.through(timezone, start, end), 0
    for expression in EXPRESSIONS:
        expected = walk.slots(expression)
        assert slots_between(expression, timezone, start, end) == expected, (timezone, instant, expression)
        count += len(expected)
    return count


def slots_between(expression: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    slot = next_slot(expression, timezone, start)
    while slot <= end:
        found.append(slot)
        slot = next_slot(expression, timezone, slot)
    return found


def changes_in(timezone: str, first: int, last: int) -> tuple[datetime, ...]:
    return changes(timezone, datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("kind", [slow(kind) if number % 2 else kind for number, kind in enumerate(KINDS)])
def test_around_changes_of_the_clocks_slots_are_those_of_a_walk(kind: str, figure: Figure) -> None:
    seed = chosen_seed()
    chance = random.Random(seed)
    known = compared = slots = 0
    for timezone in KINDS[kind]:
        every = changes_in(timezone, *YEARS)
        assert every, f"{timezone} is said to change"
        chosen = every if IS_LONG else chance.sample(every, min(DRAWN, len(every)))
        slots += sum(compare_around(timezone, change) for change in chosen)
        known, compared = known + len(every), compared + len(chosen)

    figure(
        f"{compared:,} of {known:,} changes in {len(KINDS[kind])} zones (seed {seed}), each with {len(EXPRESSIONS)} "
        f"expressions: {slots:,} slots as in a walk"
    )


@pytest.mark.parametrize("timezone", FORMER_CHANGES)
def test_around_unusual_changes_of_former_years_slots_are_those_of_a_walk(timezone: str) -> None:
    year = FORMER_CHANGES[timezone]

    assert sum(compare_around(timezone, change) for change in changes_in(timezone, year - 1, year))


@pytest.mark.parametrize("timezone", UNCHANGED)
def test_in_zones_that_never_change_slots_are_those_of_a_walk(timezone: str) -> None:
    assert not changes_in(timezone, *YEARS)
    for year in YEARS:
        assert compare_around(timezone, datetime(year, 3, 29, 1, tzinfo=UTC))
