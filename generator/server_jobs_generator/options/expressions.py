"""Options as Python, for job classes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import JsonValue
from server_jobs.domain.option_kinds import Choice, Group, Kind, Length, ParamsText, Pointers, Share
from server_jobs.domain.options import JobOptions

from ..python.code import Code, Expression, Text, call, literal, tuple_of
from ..python.code import Group as Brackets
from .table import flat_options

_UNITS = ("days", "hours", "minutes", "seconds", "milliseconds")


def arguments(record: object) -> dict[str, Expression]:
    """Return the arguments of a record that differ from their defaults, in the order of its fields."""
    stated = ((one, getattr(record, one.name)) for one in flat_options(type(record)))
    found = {one.name: _expression(one.kind, value) for one, value in stated if value != one.default}
    if isinstance(record, JobOptions) and record.place_options:
        found["place_options"] = _json(dict(record.place_options))
    return found


def record_call(record: object) -> Brackets:
    """Return the call that makes a record."""
    return call(type(record).__name__, **arguments(record))


def type_names(record: type[Any]) -> set[str]:
    """Return the names of the types that `record_call` may use for records of this type."""
    kinds = [one.kind for one in flat_options(record)]
    inner = [type_names(kind.record) for kind in kinds if isinstance(kind, Group)]
    return {record.__name__, *(kind.members.__name__ for kind in kinds if isinstance(kind, Choice))}.union(*inner)


def _expression(kind: Kind, value: Any) -> Expression:  # noqa: ANN401  # of the type of its kind
    match kind:
        case Choice():
            return Code(f"{type(value).__name__}.{value.name}")
        case Length():
            return _length(value)
        case Share():
            return Code(repr(float(value)))
        case ParamsText():
            return Text(value)
        case Pointers():
            return tuple_of([Text(one) for one in value])
        case Group():
            return record_call(value)
        case _:
            return literal(value) if isinstance(value, str) else Code(repr(value))


def _json(value: JsonValue) -> Expression:
    match value:
        case dict():
            return Brackets("{", tuple((f"{literal(key)}: ", _json(one)) for key, one in value.items()), "}")
        case list():
            return Brackets("[", tuple(("", _json(one)) for one in value), "]")
        case str():
            return literal(value)
        case _:
            return Code(repr(value))


def _length(value: timedelta) -> Expression:
    """Return a length of time in the largest unit with a whole number."""
    for unit in _UNITS:
        if value % timedelta(**{unit: 1}) == timedelta(0):
            return call("timedelta", **{unit: Code(value // timedelta(**{unit: 1}))})
    return call("timedelta", seconds=Code(value // timedelta(seconds=1)), microseconds=Code(value.microseconds))
