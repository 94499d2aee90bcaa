"""What the keywords of a schema may be set to, those aside that hold schemas or depend on what stands around them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping

from pydantic import JsonValue
from server_jobs.contract.formats import FORMATS
from server_jobs.contract.schemas.content import ENCODINGS, MEDIA_TYPES
from server_jobs.contract.schemas.uris import is_iri_reference

from ..problems.problem import listed, nearest, shown
from ..problems.rule import Mistake
from ..problems.spec_rules import KEYWORD_VALUE, NUMBER_OUT_OF_RANGE, UNKNOWN_FORMAT

_LARGEST_COUNT = 2**31 - 1
_COUNTS = (
    *("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"),
    *("minProperties", "maxProperties"),
)


def value_problem(keyword: str, value: JsonValue) -> Mistake | None:
    """Why a keyword cannot have this value; None if it can, or if the keyword is not judged by its value alone."""
    check = _CHECKS.get(keyword)
    return check(value) if check is not None else None


def _format(value: JsonValue) -> Mistake | None:
    if not isinstance(value, str):
        return _text(value)
    if value in FORMATS:
        return None
    known = nearest(value, FORMATS)
    use = f"use {listed(sorted(FORMATS))}, or pattern"
    message = f"the format {shown(value)} is not supported: it would not be enforced{known}; {use}"
    return UNKNOWN_FORMAT, message


def _count(value: JsonValue) -> Mistake | None:
    # `2.0` is a whole number too.
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    if is_whole and 0 <= value <= _LARGEST_COUNT:  # type: ignore[operator]  # it is a number then
        return None
    return KEYWORD_VALUE, f"must be a whole number from 0, not {shown(value)}"


def _number(value: JsonValue) -> Mistake | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return KEYWORD_VALUE, f"must be a number, not {shown(value)}"
    is_finite = abs(value) <= sys.float_info.max
    message = f"{shown(value)} is outside the range of a double-precision number"
    return None if is_finite else (NUMBER_OUT_OF_RANGE, message)


def _divisor(value: JsonValue) -> Mistake | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        return KEYWORD_VALUE, f"must be a number above 0, not {shown(value)}"
    return _number(value)


def _anchor(value: JsonValue) -> Mistake | None:
    is_name = isinstance(value, str) and re.fullmatch("[A-Za-z_][-A-Za-z0-9._]*", value)
    return None if is_name else (KEYWORD_VALUE, f"must be a name such as address, not {shown(value)}")


def _identifier(value: JsonValue) -> Mistake | None:
    if not isinstance(value, str):
        return _text(value)
    if is_iri_reference(value):
        return None
    return KEYWORD_VALUE, f"must be a URI such as https://example.com/address, not {shown(value)}"


def _discriminator(value: JsonValue) -> Mistake | None:
    example = 'must be an object such as {"propertyName": "kind"}'
    if not isinstance(value, dict) or not isinstance(value.get("propertyName"), str):
        return KEYWORD_VALUE, f"{example}, not {shown(value)}"
    mapping = value.get("mapping", {})
    if not isinstance(mapping, dict) or not all(isinstance(target, str) for target in mapping.values()):
        known = 'its mapping must be an object such as {"email": "#/$defs/Email"}'
        return KEYWORD_VALUE, f"{known}, not {shown(mapping)}"
    unknown = sorted(value.keys() - {"propertyName", "mapping"})
    return (KEYWORD_VALUE, f"{example}, without {shown(unknown[0])}") if unknown else None


def _content_encoding(value: JsonValue) -> Mistake | None:
    return _one_of(value, ENCODINGS)


def _media_type(value: JsonValue) -> Mistake | None:
    return _one_of(value, MEDIA_TYPES)


def _one_of(value: JsonValue, known: tuple[str, ...]) -> Mistake | None:
    if value in known:
        return None
    message = f"{shown(value)} is not supported: it would not be enforced; use {listed(known)}, or leave it out"
    return KEYWORD_VALUE, message


def _text(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, str) else (KEYWORD_VALUE, f"must be a text, not {shown(value)}")


def _flag(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, bool) else (KEYWORD_VALUE, f"must be true or false, not {shown(value)}")


def _list(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, list) else (KEYWORD_VALUE, f"must be a list of values, not {shown(value)}")


_CHECKS: Mapping[str, Callable[[JsonValue], Mistake | None]] = {
    "format": _format,
    "multipleOf": _divisor,
    "deprecated": _flag,
    "discriminator": _discriminator,
    "uniqueItems": _flag,
    "$anchor": _anchor,
    "$id": _identifier,
    "contentEncoding": _content_encoding,
    "contentMediaType": _media_type,
    "examples": _list,
    **dict.fromkeys(_COUNTS, _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("$ref", "$comment", "title", "description"), _text),
}
