"""A simple evaluator of JSON Schema, independent of the comparison of schemas that it tests.

Where the models are stricter than JSON Schema, it is too: a number has to be exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from server_jobs.contract.formats import FORMATS
from server_jobs.contract.schemas.content import is_base64
from server_jobs.contract.values import canonical

Json = Any

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


# In an object with another keyword, or with one that is composed beside it, nothing is left out.
PLAIN = {
    *("$ref", "anyOf", "oneOf", "$defs", "default", "description", "type", "properties", "required", "items"),
    *("additionalProperties", "maxProperties", "minItems", "maxItems", "prefixItems"),
}
COMPOSED = {"$ref", "anyOf", "oneOf"}


def accepts(root: Json, schema: Json, value: Json) -> bool:
    """Return whether the value fits the schema, whose references lead into `root`."""
    if isinstance(schema, bool):
        return schema
    return all(_holds(root, schema, keyword, value) for keyword in schema)


def reads(root: Json, value: Json) -> bool:
    """Return whether a stored value can be read: unchanged, or without undeclared properties of closed objects."""
    return accepts(root, root, value) or accepts(root, root, pruned(root, root, value))


def pruned(root: Json, schema: Json, value: Json) -> Json:
    """Return the value without the undeclared properties of closed objects, except below a union."""
    if not isinstance(schema, dict):
        return value
    if schema.keys() - PLAIN or (schema.keys() & COMPOSED and schema.keys() & {"properties", "type"}):
        return value
    if "$ref" in schema:
        return pruned(root, target(root, schema), value)
    for keyword in ("anyOf", "oneOf"):
        others = [branch for branch in schema.get(keyword, []) if branch != {"type": "null"}]
        if len(others) == 1:
            return pruned(root, others[0], value)
    kinds = schema.get("type", "any")
    if (
        {"anyOf", "oneOf"} & schema.keys()
        or (isinstance(kinds, list) and len({*kinds} - {"null"}) > 1)
        or kinds == "any"
    ):
        return value
    if isinstance(value, dict) and kinds in ("object", ["object", "null"], ["null", "object"]):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        kept = {key: inner for key, inner in value.items() if key in properties or others is not False}
        return {key: pruned(root, properties.get(key, others), inner) for key, inner in kept.items()}
    if isinstance(value, list) and "array" in kinds:
        prefix = schema.get("prefixItems", [])
        return [
            pruned(root, prefix[index] if index < len(prefix) else schema.get("items", True), item)
            for index, item in enumerate(value)
        ]
    return value


def target(root: Json, schema: Json) -> Json:
    """Return the target of a `$ref`."""
    return root["$defs"][schema["$ref"].removeprefix("#/$defs/")]


def _holds(root: Json, schema: Json, keyword: str, value: Json) -> bool:
    given = schema[keyword]
    match keyword:
        case "$ref":
            return accepts(root, target(root, schema), value)
        case "type":
            return any(_is(value, kind) for kind in (given if isinstance(given, list) else [given]))
        case "const":
            return _same(value, given)
        case "enum":
            return any(_same(value, option) for option in given)
        case "allOf":
            return all(accepts(root, branch, value) for branch in given)
        case "anyOf":
            return any(accepts(root, branch, value) for branch in given)
        case "oneOf":
            return sum(accepts(root, branch, value) for branch in given) == 1
        case "not":
            return not accepts(root, given, value)
        case "if":
            return accepts(root, schema.get("then" if accepts(root, given, value) else "else", True), value)
    if isinstance(value, str):
        return _text_holds(keyword, given, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_holds(keyword, given, value)
    if isinstance(value, list):
        return _list_holds(root, schema, keyword, value)
    return not isinstance(value, dict) or _object_holds(root, schema, keyword, value)


def _is(value: Json, kind: str) -> bool:
    own = "null" if value is None else _KINDS[type(value)]
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return own == kind or (kind == "number" and own == "integer" and _is_exact(value))


def _is_exact(value: Json) -> bool:
    """Return whether a double represents it. All numbers in `schema_pairs` are small enough for a float."""
    return bool(int(float(value)) == value)


def _same(one: Json, other: Json) -> bool:
    return canonical(_whole(one)) == canonical(_whole(other))


def _whole(value: Json) -> Json:
    """Return the value with `1` instead of each `1.0`, which is the same number."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text_holds(keyword: str, given: Json, value: str) -> bool:
    match keyword:
        case "minLength":
            return bool(len(value) >= given)
        case "maxLength":
            return bool(len(value) <= given)
        case "pattern":
            return re.search(given, value) is not None
        case "format":
            return FORMATS[given](value)
        case "contentEncoding":
            return is_base64(value)
        case _:
            return True


def _number_holds(keyword: str, given: Json, value: float) -> bool:
    match keyword:
        case "minimum":
            return bool(value >= given)
        case "maximum":
            return bool(value <= given)
        case "exclusiveMinimum":
            return bool(value > given)
        case "exclusiveMaximum":
            return bool(value < given)
        case "multipleOf":
            return Fraction(value) % Fraction(given) == 0
        case _:
            return True


def _list_holds(root: Json, schema: Json, keyword: str, value: list[Json]) -> bool:
    given, prefix = schema[keyword], schema.get("prefixItems", [])
    match keyword:
        case "minItems":
            return bool(len(value) >= given)
        case "maxItems":
            return bool(len(value) <= given)
        case "uniqueItems":
            return not given or len({canonical(_whole(item)) for item in value}) == len(value)
        case "prefixItems":
            return all(accepts(root, one, item) for one, item in zip(given, value, strict=False))
        case "items":
            return all(accepts(root, given, item) for item in value[len(prefix) :])
        case "contains":
            found = sum(accepts(root, given, item) for item in value)
            return bool(schema.get("minContains", 1) <= found <= schema.get("maxContains", len(value)))
        case "unevaluatedItems":
            seen = _seen(root, schema, value, keyword)
            return all(accepts(root, given, item) for index, item in enumerate(value) if index not in seen)
        case _:
            return True


def _object_holds(root: Json, schema: Json, keyword: str, value: dict[str, Json]) -> bool:
    given = schema[keyword]
    match keyword:
        case "minProperties":
            return bool(len(value) >= given)
        case "maxProperties":
            return bool(len(value) <= given)
        case "required":
            return all(name in value for name in given)
        case "properties":
            return all(accepts(root, inner, value[name]) for name, inner in given.items() if name in value)
        case "patternProperties":
            return all(accepts(root, given[one], value[name]) for one, name in _matching(given, value))
        case "additionalProperties":
            return all(accepts(root, given, value[name]) for name in _others(schema, value))
        case "propertyNames":
            return all(accepts(root, given, name) for name in value)
        case "dependentRequired":
            return all(other in value for name, others in given.items() if name in value for other in others)
        case "dependentSchemas":
            return all(accepts(root, inner, value) for name, inner in given.items() if name in value)
        case "unevaluatedProperties":
            seen = _seen(root, schema, value, keyword)
            return all(accepts(root, given, inner) for name, inner in value.items() if name not in seen)
        case _:
            return True


def _seen(root: Json, schema: Json, value: Json, *without: str) -> set[str | int]:
    """Return the names or indexes of the value's parts that the schema evaluates; none if the value does not fit."""
    if not isinstance(schema, dict):
        return set()
    schema = {word: given for word, given in schema.items() if word not in without}
    if not without and not accepts(root, schema, value):
        return set()
    found = {part for inner in _applied(root, schema, value) for part in _seen(root, inner, value)}
    if isinstance(value, list):
        return found | _seen_items(root, schema, value)
    if not isinstance(value, dict):
        return found
    if {"additionalProperties", "unevaluatedProperties"} & schema.keys():
        return {*value}
    return found | ({*value} - _others(schema, value))


def _seen_items(root: Json, schema: Json, value: list[Json]) -> set[str | int]:
    if {"items", "unevaluatedItems"} & schema.keys():
        return {*range(len(value))}
    inner = schema.get("contains", False)
    found: set[str | int] = {index for index, item in enumerate(value) if accepts(root, inner, item)}
    return {*range(len(schema.get("prefixItems", [])))} | found


def _applied(root: Json, schema: Json, value: Json) -> Iterator[Json]:
    """Yield the schemas that apply to the same value."""
    for word in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(word, [])
    if "$ref" in schema:
        yield target(root, schema)
    if "if" in schema:
        holds = accepts(root, schema["if"], value)
        yield from ([schema["if"], schema.get("then", True)] if holds else [schema.get("else", True)])
    if isinstance(value, dict):
        yield from (inner for name, inner in schema.get("dependentSchemas", {}).items() if name in value)


def _matching(patterns: dict[str, Json], value: dict[str, Json]) -> Iterator[tuple[str, str]]:
    yield from ((one, name) for one in patterns for name in value if re.search(one, name))


def _others(schema: Json, value: dict[str, Json]) -> set[str]:
    named = {
        *schema.get("properties", {}),
        *(name for _, name in _matching(schema.get("patternProperties", {}), value)),
    }
    return {*value} - named
