"""Slots found by walking a clock minute by minute: slow, and with no idea of time zones beyond reading the clock."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = {
    **{name.lower(): number for number, name in enumerate(calendar.month_abbr) if name},
    **{name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
}
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@dataclass(frozen=True)
class Walk:
    """The wall clock of a zone at every minute from one instant to another."""

    start: datetime
    walls: tuple[datetime, ...]

    @classmethod
    def through(cls, timezone: str, start: datetime, end: datetime) -> Walk:
        zone = ZoneInfo(timezone)
        minutes = range((end - start) // MINUTE + 1)
        return cls(start, tuple((start + n * MINUTE).astimezone(zone).replace(tzinfo=None, fold=0) for n in minutes))

    def slots(self, expression: str) -> list[datetime]:
        """Every slot after the first minute of the walk."""
        if expression.split()[1].startswith("*"):
            return [self._instant(n) for n, wall in enumerate(self.walls) if n and matches(expression, wall)]
        return self._slots_of_fixed_hours(expression)

    def _slots_of_fixed_hours(self, expression: str) -> list[datetime]:
        """A wall time counts when the clock shows it, or passes over it, for the first time."""
        found: list[datetime] = []
        seen = self.walls[0]
        for n, wall in enumerate(self.walls):
            due = False
            while seen < wall:
                seen += MINUTE
                due = due or matches(expression, seen)
            if due:
                found.append(self._instant(n))
        return found

    def _instant(self, n: int) -> datetime:
        return self.start + n * MINUTE


def matches(expression: str, wall: datetime) -> bool:
    """Whether the wall time is one that the five fields name."""
    minute, hour, day, month, weekday = expression.lower().split()
    if (
        wall.minute not in _values(0, minute)
        or wall.hour not in _values(1, hour)
        or wall.month not in _values(3, month)
    ):
        return False
    day_matches, weekday_matches = _day_matches(day, wall), _weekday_matches(weekday, wall)
    if day != "*" and weekday != "*":
        return day_matches or weekday_matches
    return day_matches and weekday_matches


def _day_matches(field: str, wall: datetime) -> bool:
    last = calendar.monthrange(wall.year, wall.month)[1]
    return any(wall.day == last if item == "l" else wall.day in _values(2, item) for item in field.split(","))


def _weekday_matches(field: str, wall: datetime) -> bool:
    return any(_weekday_item_matches(item, wall) for item in field.split(","))


def _weekday_item_matches(item: str, wall: datetime) -> bool:
    weekday = wall.isoweekday() % 7
    if "#" in item:
        day, count = item.split("#")
        return weekday == _number(day) % 7 and (wall.day - 1) // 7 + 1 == int(count)
    if item.startswith("l"):
        return weekday == int(item[1:]) % 7 and (wall + timedelta(days=7)).month != wall.month
    return weekday in {value % 7 for value in _values(4, item)}


@cache
def _values(field: int, text: str) -> frozenset[int]:
    """The numbers a list stands for, wrapping around where a range ends before it begins."""
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


def changes(timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """The hours before which the offset of a zone changes, found by looking at every quarter of an hour."""
    zone = ZoneInfo(timezone)
    found: list[datetime] = []
    moment = start.astimezone(UTC)
    while moment < end:
        following = moment + timedelta(days=1)
        if moment.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            found.append(
                next(
                    m
                    for m in _quarters(moment)
                    if m.astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset()
                )
            )
        moment = following
    return found


def _quarters(moment: datetime) -> list[datetime]:
    return [moment + n * timedelta(minutes=15) for n in range(97)]
