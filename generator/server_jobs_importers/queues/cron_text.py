"""Cron expressions from sets of numbers and from intervals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SHORTEST_RANGE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The minutes, hours, days, months and weekdays of a schedule that fires if all of them match.

    Weekdays count from Sunday, 0 to 6.
    """

    minutes: Collection[int] = range(60)
    hours: Collection[int] = range(24)
    days: Collection[int] = range(1, 32)
    months: Collection[int] = range(1, 13)
    weekdays: Collection[int] = range(7)

    @property
    def cron(self) -> str | None:
        """The cron expression. None if days and weekdays are both restricted: cron fires if one of them matches."""
        days, weekdays = _field(self.days, range(1, 32)), _field(self.weekdays, range(7))
        if "*" not in (days, weekdays):
            return None
        minutes, hours = _field(self.minutes, range(60)), _field(self.hours, range(24))
        return f"{minutes} {hours} {days} {_field(self.months, range(1, 13))} {weekdays}"


def interval_cron(interval: timedelta) -> str | None:
    """Return the cron expression that fires at this interval, or None: not every interval divides an hour or a day."""
    minutes, rest = divmod(interval, timedelta(minutes=1))
    if rest or minutes < 1:
        return None
    if interval < _HOUR:
        return None if _HOUR % interval else f"{_field(range(0, 60, minutes), range(60))} * * * *"
    hours, rest = divmod(interval, _HOUR)
    if interval < _DAY:
        return None if rest or _DAY % interval else f"0 {_field(range(0, 24, hours), range(24))} * * *"
    return {_DAY: "0 0 * * *", 7 * _DAY: "0 0 * * 0"}.get(interval)


def _field(values: Collection[int], every: range) -> str:
    chosen = sorted(set(values))
    if chosen == list(every):
        return "*"
    if len(chosen) >= _SHORTEST_RANGE:
        step = chosen[1] - chosen[0]
        if chosen == list(range(chosen[0], chosen[-1] + 1)):
            return f"{chosen[0]}-{chosen[-1]}"
        if chosen == list(every[::step]):
            return f"*/{step}"
    return ",".join(map(str, chosen))
