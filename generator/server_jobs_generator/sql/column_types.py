"""The type of a view's column: the narrowest one that every value of a property's schema fits into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import JsonValue

Schema = Mapping[str, JsonValue]

_DEFINITIONS = "#/$defs/"
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class ColumnType(StrEnum):
    """What a column holds. `JSON` is for arrays and objects, and for values of several types."""

    TEXT = "text"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    DOUBLE = "double precision"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    UUID = "uuid"
    JSON = "json"


_FORMATS = {"date-time": ColumnType.TIMESTAMP, "date": ColumnType.DATE, "uuid": ColumnType.UUID}
_TEXTS = frozenset({ColumnType.TEXT, *_FORMATS.values()})
_INTEGERS = frozenset({ColumnType.BIGINT, ColumnType.NUMERIC})
_NUMBERS = _INTEGERS | {ColumnType.DOUBLE}
# What a schema may say of a value beside other things: each is true of some values and not of others.
_ALTERNATIVES = ("anyOf", "oneOf", "then", "else", "dependentSchemas")


def column_type(schema: JsonValue, definitions: Schema) -> ColumnType:
    """The type for a schema whose references lead to these definitions; null is no type, as every column has it."""
    return _common(_types(schema, definitions, frozenset()))


def properties_of(schema: JsonValue, definitions: Schema, seen: frozenset[str] = frozenset()) -> dict[str, JsonValue]:
    """The named properties of an object's schema, those of its references and of all its alternatives included."""
    if not isinstance(schema, dict):
        return {}
    found: dict[str, JsonValue] = {}
    name = _referenced(schema)
    if name is not None and name not in seen:
        found |= properties_of(definitions.get(name), definitions, seen | {name})
    parts, properties = schema.get("allOf"), schema.get("properties")
    for part in parts if isinstance(parts, list) else ():
        found |= properties_of(part, definitions, seen)
    found |= properties if isinstance(properties, dict) else {}
    alternatives = _properties_of_alternatives(schema, definitions, seen)
    # What holds always is the narrower, and its columns stay where they are when alternatives are added.
    return found | {name: part for name, part in alternatives.items() if name not in found}


def _properties_of_alternatives(schema: Schema, definitions: Schema, seen: frozenset[str]) -> dict[str, JsonValue]:
    """Each property as any of what the alternatives say of it."""
    options: dict[str, list[JsonValue]] = {}
    for key in _ALTERNATIVES:
        for branch in _branches(key, schema.get(key)):
            for name, part in properties_of(branch, definitions, seen).items():
                options.setdefault(name, []).append(part)
    return {name: {"anyOf": parts} for name, parts in options.items()}


def _branches(key: str, value: JsonValue) -> list[JsonValue]:
    """The schemas below one of these keywords: a list of them, one for each name, or one."""
    if isinstance(value, list):
        return value
    return list(value.values()) if key == "dependentSchemas" and isinstance(value, dict) else [value]


def _types(schema: JsonValue, definitions: Schema, seen: frozenset[str]) -> set[ColumnType]:
    """What the values may be. Keywords beside each other narrow, so any one that says something is enough."""
    if not isinstance(schema, dict):
        return set() if schema is False else {ColumnType.JSON}
    name = _referenced(schema)
    if name is not None:
        return {ColumnType.JSON} if name in seen else _types(definitions.get(name), definitions, seen | {name})
    if "const" in schema or isinstance(schema.get("enum"), list):
        values = schema.get("enum", [schema.get("const")])
        stated = (value for value in (values if isinstance(values, list) else []) if value is not None)
        return {_type_of_value(value, schema) for value in stated}
    if "type" in schema:
        return {_type_of_kind(kind, schema) for kind in _kinds(schema)}
    branches = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(branches, list):
        return set[ColumnType]().union(*(_types(branch, definitions, seen) for branch in branches))
    parts = schema.get("allOf")
    known = [_types(part, definitions, seen) for part in parts] if isinstance(parts, list) else []
    return next((types for types in known if types != {ColumnType.JSON}), {ColumnType.JSON})


def _referenced(schema: Schema) -> str | None:
    """The definition that a self-contained schema refers to, if it is a reference."""
    reference = schema.get("$ref")
    return reference.removeprefix(_DEFINITIONS) if isinstance(reference, str) else None


def _kinds(schema: Schema) -> set[str]:
    """The types that a schema states, but for null; any number may be an integer."""
    stated = schema.get("type")
    kinds = {str(kind) for kind in (stated if isinstance(stated, list) else [stated])} - {"null"}
    return kinds - {"integer"} if "number" in kinds else kinds


def _type_of_kind(kind: str, schema: Schema) -> ColumnType:
    match kind:
        case "string":
            return _FORMATS.get(str(schema.get("format")), ColumnType.TEXT)
        case "integer":
            lowest = _bounds(schema, "minimum", "exclusiveMinimum")
            highest = _bounds(schema, "maximum", "exclusiveMaximum")
            fits = any(value >= _LOWEST for value in lowest) and any(value <= _HIGHEST for value in highest)
            return ColumnType.BIGINT if fits else ColumnType.NUMERIC
        case "number":
            return ColumnType.DOUBLE
        case "boolean":
            return ColumnType.BOOLEAN
        case _:
            return ColumnType.JSON


def _bounds(schema: Schema, *keywords: str) -> list[int | float]:
    return [value for key in keywords if isinstance(value := schema.get(key), int | float)]


def _type_of_value(value: JsonValue, schema: Schema) -> ColumnType:
    match value:
        case bool():
            return ColumnType.BOOLEAN
        case str():
            return _type_of_kind("string", schema)
        case float() if not value.is_integer():
            return ColumnType.DOUBLE
        case int() | float():
            return ColumnType.BIGINT if _LOWEST <= value <= _HIGHEST else ColumnType.NUMERIC
        case _:
            return ColumnType.JSON


def _common(types: Iterable[ColumnType]) -> ColumnType:
    found = frozenset(types)
    if len(found) == 1:
        return next(iter(found))
    if found and found <= _TEXTS:
        return ColumnType.TEXT
    if found and found <= _INTEGERS:
        return ColumnType.NUMERIC
    if found and found <= _NUMBERS:
        return ColumnType.DOUBLE
    return ColumnType.JSON
