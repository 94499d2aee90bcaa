"""A slow oracle for cron: walk a clock minute by minute. It uses time zones only to read the clock."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = {
    **{name.lower(): number for number, name in enumerate(calendar.month_abbr) if name},
    **{name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
EXPRESSIONS = [
    "30 1 * * *",
    "*/20 0-3 * * *",
    "15,45 2 * * *",
    "0 0 * * *",
    "59 23,0 * * *",
    "5 22-4 * * SUN",
    "0 * * * *",
    "*/25 * * * *",
    "10 */2 * * *",
    "45 */12 * * SAT-SUN",
]


@dataclass(frozen=True)
class Walk:
    """The wall clock of a zone at every minute from one instant to another.

    `passed` has the wall times that the clock shows, or skips, for the first time, with the minute of the walk.
    """

    start: datetime
    walls: tuple[datetime, ...]
    passed: tuple[tuple[int, datetime], ...]

    @classmethod
    def through(cls, timezone: str, start: datetime, end: datetime) -> Walk:
        zone = ZoneInfo(timezone)
        minutes = range((end - start) // MINUTE + 1)
        walls = tuple((start + n * MINUTE).astimezone(zone).replace(tzinfo=None, fold=0) for n in minutes)
        return cls(start, walls, tuple(_passed(walls)))

    def slots(self, expression: str) -> list[datetime]:
        """Return every slot after the first minute of the walk."""
        if expression.split()[1].startswith("*"):
            return [self._instant(n) for n, wall in enumerate(self.walls) if n and matches(expression, wall)]
        # Several times in one gap give one slot.
        return [self._instant(n) for n in dict.fromkeys(n for n, wall in self.passed if matches(expression, wall))]

    def _instant(self, n: int) -> datetime:
        return self.start + n * MINUTE


def _passed(walls: tuple[datetime, ...]) -> Iterator[tuple[int, datetime]]:
    seen = walls[0]
    for n, wall in enumerate(walls):
        while seen < wall:
            seen += MINUTE
            yield n, seen


def matches(expression: str, wall: datetime) -> bool:
    """Return whether the five fields match the wall time."""
    minutes, hours = _times(expression)
    return wall.minute in minutes and wall.hour in hours and _date_matches(expression, wall.date())


@lru_cache
def _times(expression: str) -> tuple[frozenset[int], frozenset[int]]:
    minute, hour, *_ = expression.lower().split()
    return _values(0, minute), _values(1, hour)


@lru_cache(10_000)
def _date_matches(expression: str, day: date) -> bool:
    _, _, days, months, weekdays = expression.lower().split()
    if day.month not in _values(3, months):
        return False
    day_matches, weekday_matches = _day_matches(days, day), _weekday_matches(weekdays, day)
    if days != "*" and weekdays != "*":
        return day_matches or weekday_matches
    return day_matches and weekday_matches


def _day_matches(field: str, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    return any(day.day == last if item == "l" else day.day in _values(2, item) for item in field.split(","))


def _weekday_matches(field: str, day: date) -> bool:
    return any(_weekday_item_matches(item, day) for item in field.split(","))


def _weekday_item_matches(item: str, day: date) -> bool:
    weekday = day.isoweekday() % 7
    if "#" in item:
        name, count = item.split("#")
        return weekday == _number(name) % 7 and (day.day - 1) // 7 + 1 == int(count)
    if item.startswith("l"):
        return weekday == int(item[1:]) % 7 and (day + timedelta(days=7)).month != day.month
    return weekday in {value % 7 for value in _values(4, item)}


@cache
def _values(field: int, text: str) -> frozenset[int]:
    """Return the numbers of a list. A range whose end is below its start wraps around."""
    lowest, highest = BOUNDS[field]
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            found.update(range(lowest, highest + 1, int(step or 1)))
        elif not last:
            found.add(_number(first))
        elif _number(first) <= _number(last):
            found.update(range(_number(first), _number(last) + 1, int(step or 1)))
        else:
            found.update(range(_number(first), highest + 1))
            found.update(range(lowest, _number(last) + 1))
    return frozenset(found)


def _number(text: str) -> int:
    return NAMES[text] if text in NAMES else int(text)


@cache
def changes(timezone: str, start: datetime, end: datetime) -> tuple[datetime, ...]:
    """Return the quarters of an hour at which a zone's offset changes. No zone changes twice within a day."""
    zone = ZoneInfo(timezone)
    found: list[datetime] = []
    moment, offset = start.astimezone(UTC), start.astimezone(zone).utcoffset()
    while moment < end:
        before, moment = moment, moment + timedelta(days=1)
        if moment.astimezone(zone).utcoffset() != offset:
            found.append(next(m for m in _quarters(before) if m.astimezone(zone).utcoffset() != offset))
            offset = moment.astimezone(zone).utcoffset()
    return tuple(found)


def _quarters(moment: datetime) -> list[datetime]:
    return [moment + n * timedelta(minutes=15) for n in range(97)]
