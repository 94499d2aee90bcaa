"""Kinds of values that options take. A dataclass describes each of its options in the metadata of the field.

    priority: int = field(default=0, metadata=option(Whole(-100, 100), "Higher priorities are claimed first."))

`check_fields` checks the values of a record. The generator reads the values of specs, and writes their JSON Schema, job
classes and documents, from the same descriptions. These are plain classes, because creating a dataclass is slow and
every process imports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, cast

from ..errors import InvalidOptionError
from .text_limits import check_text

_KEY = "server_jobs.option"
_CHECKS: dict[type[Any], tuple[tuple[str, Kind, object], ...]] = {}


class Kind:
    """A kind of value."""

    __slots__ = ()

    def check(self, name: str, value: object) -> object:  # noqa: ARG002  # for kinds with limits
        """Return the value as the record keeps it. Raises `InvalidOptionError`, in which the value has this name."""
        return value


class Whole(Kind):
    """A whole number from `lowest` to `highest`."""

    __slots__ = ("highest", "lowest")

    def __init__(self, lowest: int, highest: int) -> None:
        self.lowest, self.highest = lowest, highest

    def check(self, name: str, value: object) -> object:
        check_range(name, cast("int", value), self.lowest, self.highest)
        return value


class Share(Kind):
    """A number from 0 to 1."""

    __slots__ = ()

    def check(self, name: str, value: object) -> object:
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InvalidOptionError(f"{name} must be between 0 and 1, not {value!r}")
        return value


class Flag(Kind):
    """True or false."""

    __slots__ = ()


class Switch(Kind):
    """A flag that specs state as one of two words: `on` is true."""

    __slots__ = ("off", "on")

    def __init__(self, off: str, on: str) -> None:
        self.off, self.on = off, on


class Choice(Kind):
    """A member of an enumeration. Callers may pass its text."""

    __slots__ = ("members",)

    def __init__(self, members: type[StrEnum]) -> None:
        self.members = members

    def check(self, name: str, value: object) -> object:
        try:
            return self.members(cast("str", value))
        except ValueError:
            known = ", ".join(f"{self.members.__name__}.{one.name}" for one in self.members)
            raise InvalidOptionError(f"{name} must be one of {known}, not {value!r}") from None


class Text(Kind):
    """A text of at most `longest` characters."""

    __slots__ = ("longest",)

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def check(self, name: str, value: object) -> object:
        check_text(name, cast("str", value), self.longest)
        return value


class Name(Text):
    """A text that specs state as a name of letters, digits, `_`, `.` and `-`."""

    __slots__ = ()


class PlaceName(Text):
    """The name of a place for handlers. Specs state one that is built in, or that an installed plug-in brings."""

    __slots__ = ()


class Length(Kind):
    """A length of time from `shortest` to `longest`. Specs state it in ISO 8601, and no longer one than 365 days."""

    __slots__ = ("longest", "shortest")

    def __init__(self, shortest: timedelta = timedelta(0), longest: timedelta | None = None) -> None:
        self.shortest, self.longest = shortest, longest

    def check(self, name: str, value: object) -> object:
        if not isinstance(value, timedelta):
            raise InvalidOptionError(f"{name} must be a timedelta, not {value!r}")
        if value >= self.shortest and (self.longest is None or value <= self.longest):
            return value
        if self.longest is not None:
            limits = f"{self.shortest / timedelta(milliseconds=1):g} millisecond and {self.longest.days} days"
            raise InvalidOptionError(f"{name} must be between {limits}, not {value}")
        if not self.shortest:
            raise InvalidOptionError(f"{name} must not be negative, and is {value}")
        raise InvalidOptionError(f"{name} must be longer than zero, not {value}")


class Pointers(Kind):
    """JSON pointers into params, at least `fewest`."""

    __slots__ = ("fewest",)

    def __init__(self, fewest: int = 0) -> None:
        self.fewest = fewest


class ShardPointer(Kind):
    """The JSON pointer to a required text or whole number of params."""

    __slots__ = ()


class Cron(Kind):
    """A cron expression of five fields."""

    __slots__ = ()


class Timezone(Kind):
    """The name of a time zone in the IANA database."""

    __slots__ = ()


class ParamsText(Kind):
    """Params of the job, as JSON text."""

    __slots__ = ()


class Group(Kind):
    """Options of their own in an object: the fields of a dataclass.

    `missing` completes the error about a group that lacks a required option.
    """

    __slots__ = ("missing", "record")

    def __init__(self, record: type[Any], missing: str = "") -> None:
        self.record, self.missing = record, missing


class ListOf(Kind):
    """A list of objects: each has the fields of a dataclass."""

    __slots__ = ("record",)

    def __init__(self, record: type[Any]) -> None:
        self.record = record


class Inside:
    """An object in specs, `key`, whose members are fields of the record around it. The first one is required."""

    __slots__ = ("key", "missing", "words")

    def __init__(self, key: str, words: str, missing: str = "") -> None:
        self.key, self.words, self.missing = key, words, missing


class Description:
    """The description of one option. See `option`."""

    __slots__ = ("elsewhere", "fact", "inside", "key", "kind", "label", "only_with", "words")

    def __init__(
        self,
        kind: Kind,
        words: str,
        key: str | None,
        inside: Inside | None,
        label: str | None,
        fact: str,
        elsewhere: tuple[str, ...],
        only_with: tuple[str, StrEnum] | None,
    ) -> None:
        self.kind, self.words, self.key, self.inside = kind, words, key, inside
        self.label, self.fact, self.elsewhere, self.only_with = label, fact, elsewhere, only_with


def option(
    kind: Kind,
    words: str = "",
    *,
    key: str | None = None,
    inside: Inside | None = None,
    label: str | None = None,
    fact: str = "{}",
    elsewhere: tuple[str, ...] = (),
    only_with: tuple[str, StrEnum] | None = None,
) -> Mapping[str, object]:
    """Return the metadata of a field that is an option.

    `words` say what the option means, in editors and in the reference. `key` is its name in specs, by default the name
    of the field in camel case, and `inside` the object there that has it. The catalogue shows the value
    under `label`, as `fact` says it, unless it is None or empty. `elsewhere` are names of the same option in other
    queues, for suggestions. `only_with` is the name and the value of another field without which the option has no
    effect.
    """
    return {_KEY: Description(kind, words, key, inside, label, fact, elsewhere, only_with)}


def descriptions(record: type[Any]) -> Mapping[str, Description]:
    """Return the descriptions of the options of a dataclass by the names of their fields, in their order."""
    return {one.name: one.metadata[_KEY] for one in fields(record) if _KEY in one.metadata}


def check_fields(record: object, prefix: str = "") -> None:
    """Check the options of a record by their kinds. Errors name a field with this prefix. A default is always right.

    Raises `InvalidOptionError`.
    """
    checks = _CHECKS.get(type(record)) or _CHECKS.setdefault(type(record), _checks_of(type(record)))
    for name, kind, default in checks:
        value = getattr(record, name)
        if value is not default and (checked := kind.check(f"{prefix}{name}", value)) is not value:
            object.__setattr__(record, name, checked)


def _checks_of(record: type[Any]) -> tuple[tuple[str, Kind, object], ...]:
    """Return the fields whose kinds check values, with their defaults."""
    defaults = {one.name: one.default for one in fields(record)}
    return tuple(
        (name, one.kind, defaults[name])
        for name, one in descriptions(record).items()
        if type(one.kind).check is not Kind.check
    )


def check_duration(name: str, value: timedelta) -> None:
    """Raise `InvalidOptionError` unless the value is a timedelta of zero or more."""
    given: object = value  # callers may not use a type checker
    if not isinstance(given, timedelta) or given < timedelta(0):
        raise InvalidOptionError(f"{name} must be a timedelta that is not negative, not {given!r}")


def check_longer_than_zero(name: str, value: timedelta) -> None:
    """Raise `InvalidOptionError` unless the value is a timedelta of more than zero."""
    if isinstance(value, timedelta) and value <= timedelta(0):
        raise InvalidOptionError(f"{name} must be longer than zero, not {value}")
    check_duration(name, value)


def check_range(name: str, value: int, lowest: int, highest: int) -> None:
    """Raise `InvalidOptionError` unless the value is a whole number and `lowest <= value <= highest`."""
    given: object = value  # callers may not use a type checker
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidOptionError(f"{name} must be a whole number between {lowest} and {highest}, not {given!r}")
    if not lowest <= value <= highest:
        raise InvalidOptionError(f"{name} must be between {lowest} and {highest}, not {value}")
