"""What the keywords of a schema may be set to, those aside that hold schemas or depend on what stands around them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from pydantic import JsonValue
from server_jobs.formats import FORMATS

from .problems import listed, nearest, shown
from .rules import Mistake
from .spec_rules import KEYWORD_VALUE, NUMBER_OUT_OF_RANGE, UNKNOWN_FORMAT, VALUE_NOT_SUPPORTED

_LARGEST_DIVISOR = 10**308
_LARGEST_COUNT = 2**31 - 1


def value_problem(keyword: str, value: JsonValue) -> Mistake | None:
    """Why a keyword cannot have this value; None if it can, or if the keyword is not judged by its value alone."""
    check = _CHECKS.get(keyword)
    return check(value) if check is not None else None


def _const(value: JsonValue) -> Mistake | None:
    match value:
        case dict() | list():
            message = "the model would not enforce an object or a list here; describe its properties or items"
            return VALUE_NOT_SUPPORTED, message
        case float():
            use = "use strings, or whole numbers without point or exponent"
            return VALUE_NOT_SUPPORTED, f"{value} is not supported in enum and const; {use}"
        case _:
            return None


def _format(value: JsonValue) -> Mistake | None:
    if not isinstance(value, str):
        return _text(value)
    if value in FORMATS:
        return None
    known = nearest(value, FORMATS)
    use = f"use {listed(sorted(FORMATS))}, or pattern"
    message = f"the format {shown(value)} is not supported: the model would not enforce it{known}; {use}"
    return UNKNOWN_FORMAT, message


def _count(value: JsonValue) -> Mistake | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT
    return None if is_count else (KEYWORD_VALUE, f"must be a whole number from 0, not {shown(value)}")


def _number(value: JsonValue) -> Mistake | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return KEYWORD_VALUE, f"must be a number, not {shown(value)}"
    is_finite = abs(value) <= sys.float_info.max
    message = f"{shown(value)} is outside the range of a double-precision number"
    return None if is_finite else (NUMBER_OUT_OF_RANGE, message)


def _divisor(value: JsonValue) -> Mistake | None:
    is_divisor = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_DIVISOR
    return None if is_divisor else (KEYWORD_VALUE, f"must be a whole number above 0, not {shown(value)}")


def _text(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, str) else (KEYWORD_VALUE, f"must be a text, not {shown(value)}")


def _flag(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, bool) else (KEYWORD_VALUE, f"must be true or false, not {shown(value)}")


def _list(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, list) else (KEYWORD_VALUE, f"must be a list of values, not {shown(value)}")


_CHECKS: Mapping[str, Callable[[JsonValue], Mistake | None]] = {
    "const": _const,
    "format": _format,
    "multipleOf": _divisor,
    "deprecated": _flag,
    "examples": _list,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("$ref", "$comment", "title", "description"), _text),
}
