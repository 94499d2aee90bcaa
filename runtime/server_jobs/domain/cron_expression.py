"""The syntax of cron expressions: the five classic fields, without constructs that cron programs read differently.

croniter does the calendar work. It also accepts six fields, `@daily`, `R`, `H`, `5-5` as "every value" and `0/15`. This
module refuses those, and the error says what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ScheduleError

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ITEM = re.compile(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]{1,3}))?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,2}", re.ASCII)
_NTH_WEEKDAY = re.compile(r"([a-z0-9]+)#([1-5])|l([0-7])", re.ASCII)
_HASHED = re.compile(r"[hr](\(.*\))?(/.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def value(self, text: str) -> int | None:
        """Return the number of a value, or None if it is neither a number in range nor a name of the field."""
        if text in self.names:
            return self.names.index(text) + self.lowest
        if _NUMBER.fullmatch(text) and self.lowest <= int(text) <= self.highest:
            return int(text)
        return None

    def describe(self) -> str:
        names = f" or {self.names[0].upper()}-{self.names[-1].upper()}" if self.names else ""
        return f"{self.lowest}-{self.highest}{names}"


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_OF_MONTH = _Field("day of month", 1, 31)
_DAY_OF_WEEK = _Field("day of week", 0, 7, _WEEKDAYS)
_FIELDS = (_Field("minute", 0, 59), _Field("hour", 0, 23), _DAY_OF_MONTH, _Field("month", 1, 12, _MONTHS), _DAY_OF_WEEK)


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A valid expression. `every_hour` is true for `*` and `*/n` in the hour field."""

    text: str
    every_hour: bool


def parse_expression(expression: str) -> CronExpression:
    """Parse an expression. Raises `ScheduleError` with the field, the value and a correct form."""
    alias = expression.strip().lower()
    if alias.startswith("@"):
        raise ScheduleError(f"cron expression {expression!r}: aliases are not accepted; {_instead_of(alias)}")
    texts = [text for text in re.split(r"[ \t]+", expression.lower()) if text]
    if len(texts) != len(_FIELDS):
        raise ScheduleError(
            f"cron expression {expression!r} has {len(texts)} fields, not 5: "
            "write minute, hour, day of month, month and day of week, for example '0 9 * * MON'"
        )
    for field, text in zip(_FIELDS, texts, strict=True):
        if problem := _problem_with_field(field, text) or _problem_with_list(field, text):
            raise ScheduleError(f"cron expression {expression!r}: {field.name} {text!r}: {problem}")
    if problem := _problem_with_days(texts[2], texts[4]):
        raise ScheduleError(f"cron expression {expression!r}: {problem}")
    return CronExpression(" ".join(texts), every_hour=texts[1].startswith("*"))


def _instead_of(alias: str) -> str:
    if alias in _ALIASES:
        return f"write {_ALIASES[alias]!r}"
    return "write five fields, for example '0 9 * * MON'"


def _problem_with_field(field: _Field, text: str) -> str | None:
    if "?" in text:
        return "'?' is not accepted; write '*'"
    if _HASHED.fullmatch(text):
        return "random and hashed values (H, R) are not accepted; choose a value"
    if "w" in text and field is _DAY_OF_MONTH:
        return "the nearest weekday (W) is not accepted"
    if "," in text and "*" in text:
        return "'*' cannot be part of a list; write the values"
    return None


def _problem_with_list(field: _Field, text: str) -> str | None:
    items = text.split(",")
    if field is _DAY_OF_WEEK and any(_is_nth_weekday(item) for item in items):
        if all(_is_nth_weekday(item) for item in items):
            return None
        return "plain weekdays cannot be mixed with those that are counted within the month ('MON#1', 'L5')"
    problems = (_problem_with_item(field, item) for item in items)
    return next((problem for problem in problems if problem is not None), None)


def _is_nth_weekday(item: str) -> bool:
    match = _NTH_WEEKDAY.fullmatch(item)
    return match is not None and (match[1] is None or _DAY_OF_WEEK.value(match[1]) is not None)


def _problem_with_item(field: _Field, item: str) -> str | None:
    if field is _DAY_OF_MONTH and item == "l":
        return None
    match = _ITEM.fullmatch(item)
    if match is None or (match[1] == "*" and match[2]):
        return f"{item!r} is not understood; write {field.describe()}, '*', 'a-b', '*/n', 'a-b/n', or several with ','"
    first, last, step = match.groups()
    for text in (first, last):
        if text not in (None, "*") and field.value(text) is None:
            return f"{text!r} is not {field.describe()}"
    return _problem_with_range(field, first, last) or _problem_with_step(field, first, last, step)


def _problem_with_range(field: _Field, first: str, last: str | None) -> str | None:
    if last is None:
        return None
    ends = (field.value(first), field.value(last))
    if ends[0] == ends[1] or (field is _DAY_OF_WEEK and ends == (7, 0)):
        return f"the range '{first}-{last}' is a single value; write {first!r}"
    return None


def _problem_with_step(field: _Field, first: str, last: str | None, step: str | None) -> str | None:
    if step is None:
        return None
    if not 1 <= int(step) <= field.highest - field.lowest:
        return f"a step is 1 to {field.highest - field.lowest} here, not {step}"
    if first == "*":
        return None
    if last is None:
        return f"a step needs a range; write '{first}-{field.highest}/{step}'"
    if (field.value(first) or 0) > (field.value(last) or 0):
        return "a range that wraps around cannot have a step; write the values"
    return None


def _problem_with_days(day_of_month: str, day_of_week: str) -> str | None:
    """Return the problem of the day fields. Two restricted fields mean "either"; ambiguous ones are refused."""
    if "*" in (day_of_month, day_of_week):
        return None
    if "/" in day_of_month + day_of_week and day_of_month.startswith("*") + day_of_week.startswith("*"):
        return "'*/n' in one day field cannot be combined with the other day field; write the days"
    if "#" in day_of_week or "l" in day_of_week:
        return f"{day_of_week!r} cannot be combined with a day of month; write '*' for the day of month"
    return None
