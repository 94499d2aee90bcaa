"""Which JSON Schema keywords a spec may use, what they hold, and what to write instead of the others.

Every accepted keyword is enforced, by the types of the generated model or by a check beside them; whoever adds one adds
the proof to the table in `tests/generator/test_models_enforce_the_schema.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

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
"""What to write for the types of other languages."""

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
"""What to write for the keywords of other languages."""

ANNOTATIONS = frozenset(
    {"title", "description", "$comment", "default", "examples", "deprecated", "discriminator", "$defs"}
)

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
"""The keywords that say something of values of every type."""

STATES_VALUES = frozenset({"type", "$ref", "enum", "const", "allOf", "anyOf", "oneOf"})
"""The keywords of which one has to tell what a value is."""

NEEDS: Mapping[str, str] = {
    "then": "if",
    "else": "if",
    "minContains": "contains",
    "maxContains": "contains",
    "contentSchema": "contentMediaType",
}
"""The keywords that mean nothing without another."""

HOLDS_ONE = frozenset(
    {
        *("items", "additionalProperties", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"),
        *("not", "if", "then", "else", "contentSchema"),
    }
)
HOLDS_LIST = frozenset({"prefixItems", "allOf", "anyOf", "oneOf"})
HOLDS_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs"})
"""The keywords that hold one schema, a list of them, or an object of them."""

IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""The keywords whose schemas apply to the value itself, not to a part of it."""

_HELD_AGAINST = IN_PLACE - {"not"}


def inner_schemas(schema: JsonValue | Mapping[str, JsonValue]) -> Iterator[tuple[tuple[str | int, ...], JsonValue]]:
    """The schemas directly inside a schema, `$defs` among them, with where they stand in it."""
    for key, value in schema.items() if isinstance(schema, Mapping) else ():
        if key in HOLDS_ONE:
            yield (key,), value
        elif key in HOLDS_LIST and isinstance(value, list):
            yield from (((key, index), branch) for index, branch in enumerate(value))
        elif key in HOLDS_NAMED and isinstance(value, dict):
            yield from (((key, name), inner) for name, inner in value.items())


def schemas_held_against(schema: JsonValue) -> Iterator[JsonValue]:
    """The schemas inside a schema that may say more of its values: what stands under `not` says what they are not."""
    stated = schema.items() if isinstance(schema, Mapping) else ()
    yield from (inner for _, inner in inner_schemas({key: value for key, value in stated if key in _HELD_AGAINST}))


ADVICE: Mapping[str, str] = {
    "dependencies": "it belongs to an older draft; use dependentRequired or dependentSchemas",
    "additionalItems": "it belongs to an older draft; use prefixItems with items: false",
    "components": "it belongs to OpenAPI; use $defs, or a file under specs/shared/",
    "definitions": "it belongs to an older draft; use $defs",
    "nullable": 'it belongs to OpenAPI; use "type": ["…", "null"]',
    "example": "it belongs to OpenAPI; use examples, with a list",
    "readOnly": "params are only read and results only written; remove it",
    "writeOnly": "params are only read and results only written; remove it",
    "id": "references are relative to the file; remove it",
    "$dynamicAnchor": "reference the place with a JSON pointer (#/$defs/…), and remove it",
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
    "$recursiveAnchor": "use $ref with a JSON pointer (#/$defs/…)",
    "$vocabulary": "it belongs to meta-schemas; remove it",
    "$schema": "it belongs to the top of a file; remove it",
    "x-job": "it belongs to the top of a job's spec; remove it",
}
"""Why a known keyword is refused, and what to do."""

KNOWN = ANNOTATIONS | ANY_TYPE | {"$anchor", "$id"} | frozenset[str]().union(*BY_TYPE.values())
"""Every accepted keyword, for suggestions."""
