"""JSON values as JSON Schema sees them: `1` and `1.0` are one number, `true` is none, and objects have no order."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction

_FIRST_ROUNDED = 2**53


def kind_of(value: object) -> str:
    """The JSON Schema type of a value: `integer` for every number without a fraction, however it is written."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def key_of(value: object) -> Hashable:
    """The same key for values that are equal in JSON Schema, and for no others."""
    match value:
        case bool():
            return ("boolean", value)
        case int() | float():
            # Python's numbers are equal, and hash alike, when they are the same number.
            return as_written(value)
        case str() | None:
            return value
        case Mapping():
            return ("object", frozenset((name, key_of(item)) for name, item in value.items()))
        case list() | tuple():
            return ("array", tuple(map(key_of, value)))
        case _:
            raise TypeError(f"{value!r} is no JSON value")


def whole(number: float) -> int:
    """The integer that a number without a fraction is, as it is written in decimal: `1e23` is `10**23`.

    Its double is another number, of which `1e23` is only the shortest name.
    """
    return int(number) if abs(number) < _FIRST_ROUNDED else int(Decimal(repr(number)))


def as_written(number: float) -> float:
    """A number for comparisons: an integer where it is a whole one, however it is written."""
    return whole(number) if isinstance(number, float) and number.is_integer() else number


def rounded(number: float, round_: Callable[[float], int]) -> int:
    """A limit of numbers, for whole ones: rounded, unless it is one itself."""
    written = as_written(number)
    return written if isinstance(written, int) else round_(written)


def multiple_of(divisor: float) -> Callable[[float], bool]:
    """Tells whether a number is a whole multiple of another, both taken as they are written in decimal."""
    decimal, fraction = Decimal(repr(divisor)), exact(divisor)

    def is_multiple(value: float) -> bool:
        if isinstance(value, int) and isinstance(divisor, int):
            return value % divisor == 0
        try:
            return not Decimal(repr(value)) % decimal
        except InvalidOperation:  # a quotient of more digits than `Decimal` has
            return exact(value) % fraction == 0

    return is_multiple


def is_finite(value: float) -> bool:
    """Whether a number is one that JSON has. Python reads others too."""
    return isinstance(value, int) or math.isfinite(value)


def exact(number: float) -> Fraction:
    """A number as it is written in decimal."""
    return Fraction(number) if isinstance(number, int) else Fraction(Decimal(repr(number)))
