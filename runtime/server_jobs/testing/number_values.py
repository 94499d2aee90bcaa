"""Strategies for numbers within bounds and for exact multiples."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from fractions import Fraction
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from ..contract.json_schema import Schema
from ..contract.schemas.json_equality import exact

Values = SearchStrategy[JsonValue]

_EXACT = 2**53
_LARGEST = sys.float_info.max


def integers_of(schema: Schema) -> Values:
    """Return a strategy for whole numbers within the bounds that are multiples of `multipleOf`, if there is one."""
    return _multiples(schema, _divisor(schema).numerator)


def numbers_of(schema: Schema) -> Values:
    """Return a strategy for numbers within the bounds.

    With `multipleOf` it draws multiples, otherwise floats, and whole numbers of up to 2**53.
    """
    divisor = _divisor(schema)
    if "multipleOf" in schema:
        return _multiples(schema, divisor)
    return _multiples({"minimum": -_EXACT, "maximum": _EXACT, **schema}, 1) | _floats(schema)


def _divisor(schema: Schema) -> Fraction:
    stated = schema.get("multipleOf")
    divisors = stated if isinstance(stated, list) else [stated]
    numbers = [exact(cast("float", one)) for one in divisors if _is_number(one)]
    common = Fraction(1) if not numbers else numbers[0]
    for number in numbers[1:]:
        common = Fraction(
            math.lcm(common.numerator, number.numerator), math.gcd(common.denominator, number.denominator)
        )
    return common


def _multiples(schema: Schema, step: Fraction | int) -> Values:
    """Return multiples of a number within the bounds, as written in decimal: 3 times 0.1 is 0.3."""
    lows = [math.ceil(exact(one) / step) for one in _stated(schema, "minimum")]
    lows += [math.floor(exact(one) / step) + 1 for one in _stated(schema, "exclusiveMinimum")]
    highs = [math.floor(exact(one) / step) for one in _stated(schema, "maximum")]
    highs += [math.ceil(exact(one) / step) - 1 for one in _stated(schema, "exclusiveMaximum")]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        return st.nothing()
    if not isinstance(step, int) and step.denominator > 1:
        # A larger double has too few digits to be an exact multiple.
        digits = 10**15 // step.denominator
        low, high = max(-digits, low if low is not None else -digits), min(digits, high if high is not None else digits)
        if low > high:
            return st.nothing()
    return st.integers(low, high).map(lambda number: _plain(number * step))


def _plain(number: Fraction | int) -> JsonValue:
    if isinstance(number, int) or number.denominator == 1:
        return int(number)
    return float(Decimal(number.numerator) / Decimal(number.denominator))


def _floats(schema: Schema) -> Values:
    lows = [float(one) for one in _stated(schema, "minimum")]
    lows += [math.nextafter(one, math.inf) for one in _stated(schema, "exclusiveMinimum")]
    highs = [float(one) for one in _stated(schema, "maximum")]
    highs += [math.nextafter(one, -math.inf) for one in _stated(schema, "exclusiveMaximum")]
    low, high = max(lows, default=-_LARGEST), min(highs, default=_LARGEST)
    return st.floats(low, high) if max(low, -_LARGEST) <= min(high, _LARGEST) else st.nothing()


def _stated(schema: Schema, key: str) -> list[float]:
    value = schema.get(key)
    return [cast("float", value)] if _is_number(value) else []


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
