"""An example schema for each JSON Schema keyword and format."""

from __future__ import annotations

from collections.abc import Mapping

from server_jobs.contract.formats import FORMATS

Schema = Mapping[str, object]

_TEXT: Schema = {"type": "string"}
_ANY_ARRAY: Schema = {"type": "array", "items": True}
_OPEN: Schema = {"type": "object", "additionalProperties": True}

DEFINITIONS: dict[str, object] = {
    "Address": {"$anchor": "address", "type": "string", "maxLength": 200},
    "Small": {"type": "integer", "maximum": 3},
}
"""The definitions that the examples refer to."""


def _pet(kind: str) -> Schema:
    return {"title": kind.title(), **_closed({"kind": {"const": kind}}), "required": ["kind"]}


def _closed(properties: Schema) -> dict[str, object]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


ACCEPTED: Mapping[str, Schema] = {
    "type: string": _TEXT,
    "type: integer": {"type": "integer"},
    "type: number": {"type": "number"},
    "type: boolean": {"type": "boolean"},
    "type: null": {"type": "null"},
    "type: array": _ANY_ARRAY,
    "type: object": _OPEN,
    "type: several": {"type": ["string", "null"]},
    "enum": {"enum": ["small", "large"]},
    "const": {"const": "v1"},
    "minLength": {**_TEXT, "minLength": 2},
    "maxLength": {**_TEXT, "maxLength": 80},
    "pattern": {**_TEXT, "pattern": "^[a-z]+$"},
    "format": {**_TEXT, "format": "email"},
    "contentEncoding": {**_TEXT, "contentEncoding": "base64"},
    "contentMediaType": {**_TEXT, "contentMediaType": "application/json"},
    "contentSchema": {**_TEXT, "contentMediaType": "application/json", "contentSchema": {"type": "integer"}},
    "minimum": {"type": "integer", "minimum": 1},
    "maximum": {"type": "integer", "maximum": 10},
    "exclusiveMinimum": {"type": "number", "exclusiveMinimum": 0},
    "exclusiveMaximum": {"type": "number", "exclusiveMaximum": 1},
    "multipleOf": {"type": "integer", "multipleOf": 5},
    "items": {"type": "array", "items": _TEXT},
    "prefixItems": {"type": "array", "prefixItems": [_TEXT, {"type": "integer"}], "items": False, "minItems": 2},
    "minItems": {**_ANY_ARRAY, "minItems": 1},
    "maxItems": {**_ANY_ARRAY, "maxItems": 10},
    "uniqueItems": {**_ANY_ARRAY, "uniqueItems": True},
    "contains": {**_ANY_ARRAY, "contains": _TEXT},
    "minContains": {**_ANY_ARRAY, "contains": _TEXT, "minContains": 2},
    "maxContains": {**_ANY_ARRAY, "contains": _TEXT, "maxContains": 3},
    "unevaluatedItems": {"type": "array", "prefixItems": [_TEXT], "unevaluatedItems": False},
    "properties": _closed({"street": _TEXT}),
    "required": {**_closed({"street": _TEXT}), "required": ["street"]},
    "additionalProperties": {"type": "object", "additionalProperties": {"type": "integer"}},
    "unevaluatedProperties": {
        "type": "object",
        "allOf": [{"properties": {"a": _TEXT}}],
        "unevaluatedProperties": False,
    },
    "patternProperties": {
        "type": "object",
        "patternProperties": {"^x": {"type": "integer"}},
        "additionalProperties": False,
    },
    "propertyNames": {**_OPEN, "propertyNames": {"pattern": "^[a-z]+$"}},
    "minProperties": {**_OPEN, "minProperties": 1},
    "maxProperties": {**_OPEN, "maxProperties": 5},
    "dependentRequired": {**_closed({"a": _TEXT, "b": _TEXT}), "dependentRequired": {"a": ["b"]}},
    "dependentSchemas": {**_closed({"a": _TEXT, "b": _TEXT}), "dependentSchemas": {"a": {"required": ["b"]}}},
    "allOf": {"allOf": [{"$ref": "#/$defs/Small"}, {"minimum": 1}]},
    "anyOf": {"anyOf": [_TEXT, {"type": "integer"}]},
    "oneOf": {"oneOf": [_pet("cat"), _pet("dog")]},
    "not": {**_TEXT, "not": {"const": ""}},
    "if": {"type": "integer", "if": {"minimum": 10}, "then": {"multipleOf": 10}},
    "then": {"type": "integer", "if": {"minimum": 10}, "then": {"multipleOf": 10}},
    "else": {"type": "integer", "if": {"minimum": 10}, "else": {"minimum": 1}},
    "$ref": {"$ref": "#/$defs/Address"},
    "$defs": {"$ref": "#/$defs/Small"},
    "definitions": {"type": "integer", "definitions": {"Small": {"type": "integer", "maximum": 3}}},
    "$anchor": {"$ref": "#address"},
    "$id": {"$id": "https://example.com/name", "type": "string"},
    "default": {**_TEXT, "default": "none"},
    "title": {**_TEXT, "title": "Name"},
    "description": {**_TEXT, "description": "The name."},
    "examples": {**_TEXT, "examples": ["Ada"]},
    "deprecated": {**_TEXT, "deprecated": True},
    "$comment": {**_TEXT, "$comment": "For authors."},
    "readOnly": {**_TEXT, "readOnly": True},
    "writeOnly": {**_TEXT, "writeOnly": True},
    "x-python-name": _closed({"+1": {"type": "integer", "x-python-name": "likes"}}),
    "dependencies: older drafts": {**_OPEN, "dependencies": {"a": ["b"]}},
    "additionalItems: older drafts": {"type": "array", "items": [_TEXT], "additionalItems": False},
    "exclusiveMinimum: draft 4": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
    "nullable: OpenAPI 3.0": {**_TEXT, "nullable": True},
    "example: OpenAPI 3.0": {**_TEXT, "example": "Ada"},
}
"""The supported keywords. The words after a colon name one of several rows of a keyword."""

FORMAT_EXAMPLES: Mapping[str, Schema] = {name: {**_TEXT, "format": name} for name in sorted(FORMATS)}
"""The supported formats."""

REFUSED: Mapping[str, Schema] = {
    "$dynamicRef": {"$dynamicRef": "#node"},
    "$dynamicAnchor": {**_TEXT, "$dynamicAnchor": "node"},
    "$recursiveRef": {"$recursiveRef": "#"},
    "$recursiveAnchor": {**_OPEN, "$recursiveAnchor": True},
    "$schema: other dialects": {**_TEXT, "$schema": "http://json-schema.org/draft-03/schema#"},
    "$ref: remote": {"$ref": "https://example.com/name.json"},
    "pattern: look-around": {**_TEXT, "pattern": "(?=a)"},
    "x-job": {**_TEXT, "x-job": {}},
    "misspelled keywords": {**_TEXT, "maxLenght": 10},
    "contradictions": {"type": "integer", "minimum": 3, "maximum": 2},
}
"""The refused keywords and values."""

IGNORED: Mapping[str, Schema] = {
    "unknown keywords": {**_TEXT, "color": "red"},
    "x-…": {**_TEXT, "x-color": "red"},
    "discriminator": {"oneOf": [_pet("cat"), _pet("dog")], "discriminator": {"propertyName": "kind"}},
    "externalDocs": {**_TEXT, "externalDocs": {"url": "https://example.com"}},
    "xml": {**_TEXT, "xml": {"name": "name"}},
    "minLength: another type": {"type": "integer", "minLength": 2},
    "format: int64": {"type": "integer", "format": "int64"},
    "format: unknown": {**_TEXT, "format": "phone"},
    "contentEncoding: others": {**_TEXT, "contentEncoding": "quoted-printable"},
    "default: does not fit": {"type": "integer", "default": "none"},
    "examples: does not fit": {"type": "integer", "examples": ["none"]},
    "no type": {"maxLength": 10},
    "no items": {"type": "array"},
    "no additionalProperties": {"type": "object", "properties": {"street": _TEXT}},
}
"""The keywords and values without an effect, and absent keywords."""
