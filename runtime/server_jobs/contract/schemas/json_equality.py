"""JSON values by the rules of JSON Schema: `1` equals `1.0`, `true` is no number, and objects are unordered."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction

_FIRST_ROUNDED = 2**53


def kind_of(value: object) -> str:
    """Return the JSON Schema type of a value: `integer` for every number without a fraction."""
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
    """Return a key that is equal for exactly the values that are equal in JSON Schema."""
    match value:
        case bool():
            return ("boolean", value)
        case int() | float():
            # Python's numbers are equal, and hash alike, if they have the same numeric value.
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
    """Return the integer that a number without a fraction shows in decimal: `1e23` is `10**23`.

    The double behind `1e23` is a slightly different number.
    """
    return int(number) if abs(number) < _FIRST_ROUNDED else int(Decimal(repr(number)))


def as_written(number: float) -> float:
    """Return a number for comparisons: an integer if it has no fraction."""
    return whole(number) if isinstance(number, float) and number.is_integer() else number


def rounded(number: float, round_: Callable[[float], int]) -> int:
    """Round a limit to a whole number with `round_`, unless it is whole already."""
    written = as_written(number)
    return written if isinstance(written, int) else round_(written)


def multiple_of(divisor: float) -> Callable[[float], bool]:
    """Return a check for whole multiples of `divisor`. Both numbers count as written in decimal."""
    decimal, fraction = Decimal(repr(divisor)), exact(divisor)

    def is_multiple(value: float) -> bool:
        if isinstance(value, int) and isinstance(divisor, int):
            return value % divisor == 0
        try:
            return not Decimal(repr(value)) % decimal
        except InvalidOperation:  # the quotient has more digits than `Decimal` supports
            return exact(value) % fraction == 0

    return is_multiple


def is_finite(value: float) -> bool:
    """Return whether JSON can express a number. Python also reads `NaN` and `Infinity`."""
    return isinstance(value, int) or math.isfinite(value)


def exact(number: float) -> Fraction:
    """Return a number exactly as written in decimal."""
    return Fraction(number) if isinstance(number, int) else Fraction(Decimal(repr(number)))
