"""A schema without what only people read, so that two are equal texts when nothing but words differs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

DOCUMENTATION = frozenset({"$comment", "title", "description", "examples", "deprecated", "readOnly", "writeOnly"})
"""Keywords that refuse no value and mean nothing to the code that is generated."""

ONE_SCHEMA = frozenset(
    {
        *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Keywords whose value is a schema; that of `items` was a list of schemas in older drafts."""

SCHEMA_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
"""Keywords whose value is a list of schemas."""

SCHEMA_MAP = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})
"""Keywords whose value is an object of schemas; in `dependencies` there may be lists of names beside them."""


def canonical_schema(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The schema without documentation, at every depth. Values (`const`, `enum`, `default`) stay as they are."""
    return {key: _member(key, value) for key, value in schema.items() if key not in DOCUMENTATION}


def _member(key: str, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        if key in SCHEMA_MAP:
            return {name: _canonical(inner) for name, inner in value.items()}
        return canonical_schema(value) if key in ONE_SCHEMA else value
    if isinstance(value, list) and key in SCHEMA_LIST:
        return [_canonical(branch) for branch in value]
    return value


def _canonical(schema: JsonValue) -> JsonValue:
    return canonical_schema(schema) if isinstance(schema, dict) else schema
