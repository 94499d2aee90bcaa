"""The keywords of JSON Schema 2020-12, their values, and replacements for keywords of other languages.

Every keyword here is an annotation, or is enforced by the types of the generated model or by an additional check. A new
keyword needs a proof in the table of `tests/generator/models/test_models_enforce_the_schema.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping

from pydantic import JsonValue
from server_jobs.contract.schemas.uris import is_iri_reference

from ..problems.problem import shown
from ..problems.rules import KEYWORD_VALUE, NUMBER_OUT_OF_RANGE, Mistake

Schema = Mapping[str, JsonValue]

TYPES = ("string", "integer", "number", "boolean", "null", "object", "array")

TYPES_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("str", "text", "char"), '"string"'),
    **dict.fromkeys(("int", "long"), '"integer"'),
    **dict.fromkeys(("float", "double", "decimal"), '"number"'),
    **dict.fromkeys(("list", "tuple", "set"), '"array"'),
    **dict.fromkeys(("dict", "map", "record", "struct"), '"object"'),
    **dict.fromkeys(("none", "nil", "undefined"), '"null"'),
    **dict.fromkeys(("datetime", "timestamp"), '"string" with "format": "date-time"'),
    **{name: f'"string" with "format": "{name}"' for name in ("date", "time", "duration", "email", "uri", "uuid")},
    "url": '"string" with "format": "uri"',
    "enum": "enum, without a type",
    "any": "true instead of the schema, for any value",
}
"""Replacements for the types of other languages."""

KEYWORDS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("desc", "doc", "help", "summary"), "description"),
    **dict.fromkeys(("regex", "regexp", "match"), "pattern"),
    **dict.fromkeys(("choices", "values", "options", "oneof"), "enum"),
    **dict.fromkeys(("length", "len", "size"), "minLength and maxLength, or minItems and maxItems"),
    **dict.fromkeys(("gt", "greaterThan"), "exclusiveMinimum"),
    **dict.fromkeys(("lt", "lessThan"), "exclusiveMaximum"),
    **dict.fromkeys(("gte", "ge", "min"), "minimum"),
    **dict.fromkeys(("lte", "le", "max"), "maximum"),
    "optional": "required around the properties, and leave this one out there",
    "unique": "uniqueItems",
    "fields": "properties",
}
"""Replacements for the keywords of other languages."""

PYTHON_NAME = "x-python-name"
"""The name of a property in Python, where two properties would have the same one."""

DEFINITIONS = frozenset({"$defs", "definitions"})

ANNOTATIONS = DEFINITIONS | {
    *("title", "description", "$comment", "default", "examples", "deprecated", "readOnly", "writeOnly", PYTHON_NAME)
}
"""The keywords that restrict no value."""

OTHER_ANNOTATIONS = frozenset({"$schema", "$vocabulary", "discriminator", "externalDocs", "xml"})
"""Keywords of JSON Schema and OpenAPI that nobody expects to restrict a value. They are left out."""

_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})

BY_TYPE: Mapping[str, frozenset[str]] = {
    "string": frozenset(
        {"minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType", "contentSchema"}
    ),
    "integer": _NUMERIC,
    "number": _NUMERIC,
    "boolean": frozenset(),
    "null": frozenset(),
    "object": frozenset(
        {
            *("properties", "required", "additionalProperties", "minProperties", "maxProperties", "patternProperties"),
            *("propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
        }
    ),
    "array": frozenset(
        {
            *("items", "prefixItems", "minItems", "maxItems", "contains", "minContains", "maxContains", "uniqueItems"),
            "unevaluatedItems",
        }
    ),
}

ANY_TYPE = frozenset({"type", "$ref", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"})
"""The keywords that apply to values of every type."""

STATES_VALUES = frozenset({"type", "$ref", "enum", "const", "allOf", "anyOf", "oneOf"})
"""The keywords of which a schema needs at least one to state its values."""

ONE_SCHEMA = frozenset(
    {
        *("items", "additionalProperties", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"),
        *("not", "if", "then", "else", "contentSchema"),
    }
)
SCHEMA_LIST = frozenset({"prefixItems", "allOf", "anyOf", "oneOf"})
SCHEMA_MAP = DEFINITIONS | {"properties", "patternProperties", "dependentSchemas"}
"""The keywords whose value is one schema, a list of schemas, or an object of schemas."""

IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""The keywords whose schemas apply to the value itself, not to a part of it."""

_APPLIED = IN_PLACE - {"not"}

_DYNAMIC = "it depends on the schemas around it; use $ref with a JSON pointer (#/$defs/…)"
ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"), _DYNAMIC),
    "x-job": "it belongs to the top of a job's spec; remove it",
}
"""The reason why a known keyword is rejected, and its replacement."""

KNOWN = ANNOTATIONS | ANY_TYPE | {"$anchor", "$id"} | frozenset[str]().union(*BY_TYPE.values())
"""Every accepted keyword, for suggestions."""

_LARGEST_COUNT = 2**31 - 1
_COUNTS = (
    *("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"),
    *("minProperties", "maxProperties"),
)


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the known types of a schema, without `integer` if `number` includes it."""
    stated = schema.get("type")
    if isinstance(stated, str):
        return (stated,) if stated in TYPES else ()
    names = stated if isinstance(stated, list) else [stated]
    return tuple(name for name in TYPES if name in names and not (name == "integer" and "number" in names))


def inner_schemas(schema: JsonValue | Mapping[str, JsonValue]) -> Iterator[tuple[tuple[str | int, ...], JsonValue]]:
    """Yield the schemas directly inside a schema, including `$defs`, with their pointers."""
    for key, value in schema.items() if isinstance(schema, Mapping) else ():
        if key in ONE_SCHEMA:
            yield (key,), value
        elif key in SCHEMA_LIST and isinstance(value, list):
            yield from (((key, index), branch) for index, branch in enumerate(value))
        elif key in SCHEMA_MAP and isinstance(value, dict):
            yield from (((key, name), inner) for name, inner in value.items())


def applied_schemas(schema: JsonValue) -> Iterator[JsonValue]:
    """Yield the inner schemas that its values must fit; a schema under `not` is none of them."""
    stated = schema.items() if isinstance(schema, Mapping) else ()
    yield from (inner for _, inner in inner_schemas({key: value for key, value in stated if key in _APPLIED}))


def value_problem(keyword: str, value: JsonValue) -> Mistake | None:
    """Return the problem of a keyword's value; None if it is valid, or if the value alone does not decide."""
    check = _CHECKS.get(keyword)
    return check(value) if check is not None else None


def _count(value: JsonValue) -> Mistake | None:
    # `2.0` counts as a whole number too.
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


def _text(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, str) else (KEYWORD_VALUE, f"must be a text, not {shown(value)}")


def _flag(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, bool) else (KEYWORD_VALUE, f"must be true or false, not {shown(value)}")


def _list(value: JsonValue) -> Mistake | None:
    return None if isinstance(value, list) else (KEYWORD_VALUE, f"must be a list of values, not {shown(value)}")


_CHECKS: Mapping[str, Callable[[JsonValue], Mistake | None]] = {
    "multipleOf": _divisor,
    "deprecated": _flag,
    "uniqueItems": _flag,
    "$anchor": _anchor,
    "$id": _identifier,
    "examples": _list,
    **dict.fromkeys(_COUNTS, _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("readOnly", "writeOnly"), _flag),
    **dict.fromkeys(("$ref", "$comment", "title", "description", "format"), _text),
    **dict.fromkeys(("contentEncoding", "contentMediaType"), _text),
}
