"""Keywords of one schema that leave no value between them: bounds that cross, and counts that cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil, floor

from pydantic import JsonValue
from server_jobs.contract.schemas.assertions import counted_matcher
from server_jobs.contract.schemas.patterns import PatternError
from server_jobs.contract.schemas.run import Run
from server_jobs.contract.schemas.values import exact, is_finite

Contradiction = tuple[str, str]
"""The keyword to look at, and the words for what is wrong."""

_COUNTS = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"))


def contradictions(schema: Mapping[str, JsonValue], types: tuple[str, ...]) -> Iterator[Contradiction]:
    """What makes a schema of these types refuse every value of one of them."""
    for lowest, highest in _COUNTS:
        low, high = _number(schema.get(lowest)), _number(schema.get(highest))
        if low is not None and high is not None and low > high:
            yield highest, f"{highest} {schema[highest]} is below {lowest} {schema[lowest]}: nothing is allowed"
    yield from _of_numbers(schema, is_whole="integer" in types and "number" not in types)
    if "array" in types:
        yield from _of_lists(schema)
    if "object" in types:
        yield from _of_objects(schema)


def forbids(schema: Mapping[str, JsonValue], name: str, run: Run) -> bool:
    """Whether an object can have no property of this name, by the schema's own `additionalProperties`.

    Raises `CheckTooLongError` where that cannot be told in the steps that are left to the run.
    """
    properties, patterns = schema.get("properties"), schema.get("patternProperties")
    if isinstance(properties, dict) and name in properties:
        return False
    if schema.get("additionalProperties") is not False:
        return False
    return not any(_matches(pattern, name, run) for pattern in (patterns if isinstance(patterns, dict) else ()))


def _of_numbers(schema: Mapping[str, JsonValue], *, is_whole: bool) -> Iterator[Contradiction]:
    lows, highs = _bounds(schema, "minimum", "exclusiveMinimum"), _bounds(schema, "maximum", "exclusiveMaximum")
    if not lows or not highs:
        return
    (low, lowest), (high, highest) = max(lows, key=_tightness), min(highs, key=_looseness)
    first_said, last_said = f"{lowest} {schema[lowest]}", f"{highest} {schema[highest]}"
    if low > high:
        yield highest, f"{last_said} is below {first_said}: nothing is allowed"
    elif low == high and {lowest, highest} != {"minimum", "maximum"}:
        yield highest, f"{last_said} is not above {first_said}: nothing is allowed"
    elif (step := _step(schema, is_whole=is_whole)) is not None:
        first = ceil(low / step) + (lowest == "exclusiveMinimum" and low % step == 0)
        last = floor(high / step) - (highest == "exclusiveMaximum" and high % step == 0)
        if first > last:
            what = f"multiple of {schema['multipleOf']}" if "multipleOf" in schema else "whole number"
            yield highest, f"no {what} is between {first_said} and {last_said}: nothing is allowed"


def _bounds(schema: Mapping[str, JsonValue], *keys: str) -> list[tuple[Fraction, str]]:
    stated = ((_number(schema.get(key)), key) for key in keys)
    return [(exact(value), key) for value, key in stated if value is not None and is_finite(value)]


def _tightness(bound: tuple[Fraction, str]) -> tuple[Fraction, bool]:
    # Of two equal bounds the exclusive one says more.
    return bound[0], bound[1].startswith("exclusive")


def _looseness(bound: tuple[Fraction, str]) -> tuple[Fraction, bool]:
    return bound[0], not bound[1].startswith("exclusive")


def _step(schema: Mapping[str, JsonValue], *, is_whole: bool) -> Fraction | None:
    """What every number that fits is a multiple of."""
    divisor = _number(schema.get("multipleOf"))
    if divisor is None or divisor <= 0:
        return Fraction(1) if is_whole else None
    # The whole multiples of 3/2 are those of 3.
    return Fraction(exact(divisor).numerator) if is_whole else exact(divisor)


def _of_lists(schema: Mapping[str, JsonValue]) -> Iterator[Contradiction]:
    prefix, least, most = schema.get("prefixItems"), _number(schema.get("minItems")), _number(schema.get("maxItems"))
    length = len(prefix) if isinstance(prefix, list) else 0
    if schema.get("items") is False and least is not None and least > length:
        yield "minItems", f"minItems {schema['minItems']} is more than the {length} items that items: false allows"
    wanted = _number(schema.get("minContains", 1)) if "contains" in schema else None
    if wanted is not None and most is not None and wanted > most:
        yield "maxItems", f"maxItems {schema['maxItems']} is below the {wanted} items that contains asks for"


def _of_objects(schema: Mapping[str, JsonValue]) -> Iterator[Contradiction]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    least, most = _number(schema.get("minProperties")), _number(schema.get("maxProperties"))
    if not isinstance(properties, dict) or not isinstance(required, list):
        return
    if most is not None and most < len(required):
        yield "maxProperties", f"maxProperties {schema['maxProperties']} is below the {len(required)} that are required"
    is_closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    if is_closed and least is not None and least > len(properties):
        yield (
            "minProperties",
            f"minProperties {schema['minProperties']} is more than the {len(properties)} that there are",
        )


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _matches(pattern: str, name: str, run: Run) -> bool:
    run.count()
    try:
        return counted_matcher(pattern)(name, run)
    except PatternError:
        return True
