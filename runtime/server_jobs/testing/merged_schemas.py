"""Merge two schemas that must both hold. The result is approximate, so the caller filters the values made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue

from ..contract.json_schema import Schema

_KINDS_BY_KEYWORD: Mapping[str, frozenset[str]] = {
    "object": frozenset(
        {
            *("additionalProperties", "dependentRequired", "maxProperties", "minProperties", "patternProperties"),
            *("properties", "propertyNames", "required"),
        }
    ),
    "array": frozenset({"contains", "items", "maxItems", "minItems", "prefixItems", "uniqueItems"}),
    "string": frozenset(
        {"contentEncoding", "contentMediaType", "contentSchema", "format", "maxLength", "minLength", "pattern"}
    ),
    "number": frozenset({"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"}),
}
_GREATEST = frozenset({"exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum"})
_LEAST = frozenset({"exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum"})

_PARTS = frozenset({"additionalProperties", "contains", "contentSchema", "items", "propertyNames"})
_BOTH_APPLY = frozenset({"multipleOf", "pattern"})
"""Keywords whose merged value is the list of both values."""


def kinds_of(schema: Schema) -> list[str] | None:
    """Return the types to make values of; None if the schema restricts no type.

    A schema without a type allows every type. Values of the types that its keywords describe make the better tests.
    """
    stated = schema.get("type")
    if isinstance(stated, str):
        return [stated]
    if isinstance(stated, list):
        return [str(kind) for kind in stated]
    kinds = [kind for kind, keywords in _KINDS_BY_KEYWORD.items() if keywords & schema.keys()]
    return kinds or None


def merged(one: JsonValue | Schema, other: JsonValue | Schema) -> JsonValue | Schema:
    """Return a schema that requires both schemas."""
    if one is False or other is False:
        return False
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other if isinstance(other, Mapping) else one
    both = {key: _both(key, one[key], other[key]) for key in one.keys() & other.keys()}
    found = {key: both.get(key, value) for key, value in {**one, **other}.items()}
    return False if found.get("type") == [] or found.get("enum") == [] else found


def _both(key: str, one: JsonValue, other: JsonValue) -> JsonValue:
    match one, other:
        case _ if one == other:
            return other
        case dict(), dict() if key in ("properties", "patternProperties", "$defs"):
            shared: dict[str, JsonValue] = {
                name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()
            }
            return {**one, **other, **shared}
        case list(), list() if key == "required":
            return [*one, *(name for name in other if name not in one)]
        case list(), list() if key in ("allOf", "anyOf", "oneOf"):
            return [*one, *other] if key == "allOf" else other
        case list(), list() if key == "enum":
            return [option for option in one if option in other]
        case ((int() | float()), (int() | float())) if key in _GREATEST:
            return max(one, other)
        case ((int() | float()), (int() | float())) if key in _LEAST:
            return min(one, other)
        case _ if key in _BOTH_APPLY:
            return [*_listed(one), *(part for part in _listed(other) if part not in _listed(one))]
        case _ if key == "type":
            return _shared_kinds(one, other)
        case dict(), dict() if key in _PARTS:
            return {"allOf": [one, other]}
        case _ if key in _PARTS:
            return cast("JsonValue", merged(one, other))
        case _:
            return other


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]


def _shared_kinds(one: JsonValue, other: JsonValue) -> JsonValue:
    first, second = (list(map(str, kinds)) if isinstance(kinds, list) else [str(kinds)] for kinds in (one, other))
    shared: list[JsonValue] = [kind for kind in first if kind in second]
    if "integer" not in shared and {"integer", "number"} <= {*first, *second}:
        shared.append("integer")
    return shared
