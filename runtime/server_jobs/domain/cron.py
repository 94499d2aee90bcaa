"""Slots of schedules. A slot is an instant in UTC at which a cron expression is due in its time zone.

Around changes of the clocks the hour field decides:

* fixed hours (`30 1 * * *`) run once for each wall time: at its first occurrence when the clock is set back, and at the
  first instant after the gap when it is set forward and skips the time;
* every hour (`*`, `*/n`) follows elapsed time: each real instant whose wall time matches, both occurrences when the
  clock is set back, none inside a gap.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import assert_never
from zoneinfo import ZoneInfo, available_timezones

from ..errors import InvalidOptionError, ScheduleError
from .cron_expression import parse_expression
from .option_kinds import check_range
from .options import HIGHEST_MISFIRE_LIMIT, Misfire
from .suggestions import closest

SKIP_GRACE = timedelta(seconds=60)
"""With `Misfire.SKIP`, a slot older than this is dropped."""

_INSTANT = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_OFFSET_OR_ABBREVIATION = re.compile("[A-Z]{2,5}|(?i:UTC|GMT)?[-+][0-9:]+")
_LOCAL_ZONES = frozenset({"localtime", "posixrules", "Factory"})


def check_cron(expression: str, timezone: str) -> None:
    """Raise `ScheduleError` unless the expression has five plain fields, can fire, and the zone is an IANA name."""
    if timezone not in _zone_names():
        raise ScheduleError(f"unknown time zone {timezone!r}; {_nearest_zones(timezone)}")
    next_slot(expression, timezone, datetime(2000, 1, 1, tzinfo=UTC))


def next_slot(expression: str, timezone: str, after: datetime) -> datetime:
    """Return the first slot strictly after `after`. Raises `ScheduleError` if there is none."""
    if after.tzinfo is None:
        raise InvalidOptionError(f"`after` must be an instant with a time zone, not {after.isoformat()}")
    parsed = parse_expression(expression)
    find = _next_of_every_hour if parsed.every_hour else _next_of_fixed_hours
    return find(parsed.text, load_zone(timezone), after.astimezone(UTC))


def due_slots(
    misfire: Misfire,
    expression: str,
    timezone: str,
    next_run_at: datetime | None,
    now: datetime,
    *,
    misfire_limit: int | None = None,
    limit: int = 100,
) -> tuple[tuple[datetime, ...], datetime]:
    """Return the slots from `next_run_at` to `now` to fire, oldest first, and the next slot to wait for.

    `SKIP` fires a slot within `SKIP_GRACE`, `FIRE_ONCE` the newest slot, and `FIRE_ALL` all slots or the newest
    `misfire_limit`. At most `limit` slots are returned; with more, the next slot lies in the past. If `next_run_at` is
    None, plan only. Raises `ScheduleError`, and `InvalidOptionError` for an invalid `misfire_limit`.
    """
    if next_run_at is None:
        return (), next_slot(expression, timezone, now)
    if next_run_at > now:
        return (), next_run_at.astimezone(UTC)
    match misfire:
        case Misfire.SKIP:
            slots = tuple(_slots(expression, timezone, max(next_run_at, now - SKIP_GRACE), now))
        case Misfire.FIRE_ONCE:
            slots = _newest_slots(expression, timezone, next_run_at, now, 1)
        case Misfire.FIRE_ALL:
            passed = _passed_slots(expression, timezone, next_run_at, now, misfire_limit)
            slots = tuple(islice(passed, limit))
        case _:
            assert_never(misfire)
    return slots, next_slot(expression, timezone, slots[-1] if slots else now)


def slots_between(expression: str, timezone: str, first: datetime, before: datetime) -> Iterator[datetime]:
    """Yield the slots from `first` to before `before`, oldest first. Raises `ScheduleError`."""
    return _slots(expression, timezone, first, before - _INSTANT)


def count_slots(expression: str, timezone: str, first: datetime, before: datetime, *, most: int = 1000) -> int:
    """Count the slots from `first` to before `before`, up to `most`."""
    return sum(1 for _ in islice(slots_between(expression, timezone, first, before), most))


def _passed_slots(
    expression: str, timezone: str, first: datetime, last: datetime, misfire_limit: int | None
) -> Iterable[datetime]:
    if misfire_limit is None:
        return _slots(expression, timezone, first, last)
    check_range("misfire_limit", misfire_limit, 1, HIGHEST_MISFIRE_LIMIT)
    return _newest_slots(expression, timezone, first, last, misfire_limit)


def _slots(expression: str, timezone: str, first: datetime, last: datetime) -> Iterator[datetime]:
    slot = next_slot(expression, timezone, first - _INSTANT)
    while slot <= last:
        yield slot
        slot = next_slot(expression, timezone, slot)


def _newest_slots(expression: str, timezone: str, first: datetime, last: datetime, count: int) -> tuple[datetime, ...]:
    """Return the newest `count` slots. Search back in growing steps, so that a year without a scheduler stays cheap."""
    newest: deque[datetime] = deque()
    span = timedelta(hours=1)
    while True:
        start = max(first, last - span)
        older = deque(_slots(expression, timezone, start, last), maxlen=count - len(newest))
        newest.extendleft(reversed(older))
        if len(newest) == count or start == first:
            return tuple(newest)
        last = start - _INSTANT
        span *= 2


def _next_of_fixed_hours(expression: str, zone: ZoneInfo, after: datetime) -> datetime:
    wall = _wall(after, zone)
    while True:
        wall = _next_match(expression, wall)
        slot = _first_occurrence(wall, zone)
        # In a repeated hour, the wall times had their slot at the first occurrence.
        if slot > after:
            return slot


def _first_occurrence(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which the clock shows `wall`, or the end of the gap that skips it."""
    slot = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(slot, zone) == wall:
        return slot
    before_gap = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _first_change(before_gap, slot, zone) or slot


def _next_of_every_hour(expression: str, zone: ZoneInfo, after: datetime) -> datetime:
    """Return the next slot by elapsed time, from one change of the UTC offset to the next."""
    start, wall = after, _wall(after, zone)
    while True:
        slot = (_next_match(expression, wall) - _offset(start, zone)).replace(tzinfo=UTC)
        change = _first_change(start, slot, zone)
        if change is None:
            return slot
        start, wall = change, _wall(change, zone) - _SECOND


def _first_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant in (`start`, `end`] with another UTC offset than `start`, or None."""
    offset = _offset(start, zone)
    before = start
    while before < end:
        # Since 1970 no zone has changed twice within a day, so daily steps find every change.
        look = min(before + _DAY, end)
        if _offset(look, zone) != offset:
            return _bisect(before, look, lambda instant: _offset(instant, zone) != offset)
        before = look
    return None


def _bisect(before: datetime, after: datetime, has_changed: Callable[[datetime], bool]) -> datetime:
    """Return the first full second with a true answer. It is false at `before` and true at `after`."""
    before = before.replace(microsecond=0)
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if has_changed(middle):
            after = middle
        else:
            before = middle
    return after


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _next_match(expression: str, wall: datetime) -> datetime:
    """Return the first matching wall time strictly after `wall`."""
    # Imported late, because the import starts a process (`file`, to learn the word size).
    from croniter import croniter  # type: ignore[import-untyped]  # croniter ships no types

    try:
        match: datetime = croniter(expression, wall).get_next(datetime)
    except (ValueError, OverflowError) as exc:
        raise ScheduleError(f"cron expression {expression!r} never fires; no date has such a day and month") from exc
    return match


def load_zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as exc:
        raise ScheduleError(f"unknown time zone {timezone!r}; {_nearest_zones(timezone)}") from exc


@cache
def _zone_names() -> frozenset[str]:
    """Return the zone names that mean the same on every machine, from a list instead of the file system."""
    return frozenset(available_timezones()) - _LOCAL_ZONES


def _nearest_zones(timezone: str) -> str:
    by_lower_case = {name.lower(): name for name in sorted(_zone_names())}
    lowered = timezone.lower().replace(" ", "_")
    if lowered in by_lower_case:
        return f"did you mean {by_lower_case[lowered]!r}?"
    if _OFFSET_OR_ABBREVIATION.fullmatch(timezone):
        return "write an IANA name such as 'Europe/Berlin' or 'UTC': no offset or abbreviation says when clocks change"
    nearest = closest(lowered, by_lower_case, 3) or [
        name for name in by_lower_case if lowered and lowered in name.split("/")
    ]
    names = " or ".join(repr(by_lower_case[name]) for name in nearest[:3])
    return f"did you mean {names}?" if names else "write an IANA name such as 'Europe/Berlin' or 'UTC'"
