"""What the keywords of a schema may be set to, those aside that hold schemas or depend on what stands around them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from pydantic import JsonValue
from server_jobs.formats import FORMATS

from .problems import listed, nearest, shown

_LARGEST_DIVISOR = 10**308
_LARGEST_COUNT = 2**31 - 1


def value_problem(keyword: str, value: JsonValue) -> str | None:
    """Why a keyword cannot have this value; None if it can, or if the keyword is not judged by its value alone."""
    check = _CHECKS.get(keyword)
    return check(value) if check is not None else None


def _const(value: JsonValue) -> str | None:
    match value:
        case dict() | list():
            return "the model would not enforce an object or a list here; describe its properties or items"
        case float():
            return (
                f"{value} is not supported in enum and const; use strings, or whole numbers without point or exponent"
            )
        case _:
            return None


def _format(value: JsonValue) -> str | None:
    if not isinstance(value, str):
        return _text(value)
    if value in FORMATS:
        return None
    known = nearest(value, FORMATS)
    use = f"use {listed(sorted(FORMATS))}, or pattern"
    return f"the format {shown(value)} is not supported: the model would not enforce it{known}; {use}"


def _count(value: JsonValue) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT
    return None if is_count else f"must be a whole number from 0, not {shown(value)}"


def _number(value: JsonValue) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return f"must be a number, not {shown(value)}"
    is_finite = abs(value) <= sys.float_info.max
    return None if is_finite else f"{shown(value)} is outside the range of a double-precision number"


def _divisor(value: JsonValue) -> str | None:
    is_divisor = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_DIVISOR
    return None if is_divisor else f"must be a whole number above 0, not {shown(value)}"


def _text(value: JsonValue) -> str | None:
    return None if isinstance(value, str) else f"must be a text, not {shown(value)}"


def _flag(value: JsonValue) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, not {shown(value)}"


def _list(value: JsonValue) -> str | None:
    return None if isinstance(value, list) else f"must be a list of values, not {shown(value)}"


_CHECKS: Mapping[str, Callable[[JsonValue], str | None]] = {
    "const": _const,
    "format": _format,
    "multipleOf": _divisor,
    "deprecated": _flag,
    "examples": _list,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("$ref", "$comment", "title", "description"), _text),
}
