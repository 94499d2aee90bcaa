"""Small schemas in the styles that public ones are written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STYLES: Mapping[str, Mapping[str, Any]] = {
    "a configuration file in draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": "https://example.com/config.json",
        "definitions": {"port": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 65535}},
        "properties": {
            "listen": {"type": "array", "items": {"$ref": "#/definitions/port"}, "default": []},
            "log": {"enum": ["debug", "info"], "default": "info", "markdownDescription": "The **level**."},
            "pair": {"type": "array", "items": [{"type": "string"}, {"type": "number"}], "additionalItems": False},
        },
        "dependencies": {"pair": ["log"], "log": {"required": ["listen"]}},
    },
    "a manifest in draft 6": {
        "$schema": "http://json-schema.org/draft-06/schema#",
        "title": "Manifest",
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z]+$", "examples": ["left"]},
            "size": {"type": "number", "exclusiveMinimum": 0},
            "tags": {"contains": {"const": "stable"}},
        },
        "patternProperties": {"^x-": True},
        "additionalProperties": False,
    },
    "an editor's settings in draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema",
        "jupyter.menu": {"items": [{"label": "Open"}]},
        "type": "object",
        "properties": {
            "theme": {"$ref": "#/definitions/theme", "default": "dark"},
            "width": {"type": ["integer", "null"], "if": {"type": "integer"}, "then": {"multipleOf": 2}},
            "$schema": {"description": "The address of this schema."},
        },
        "definitions": {"theme": {"$id": "#theme", "type": "string", "minLength": 2}},
    },
    "a message of 2019-09 with names for its parts": {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": "https://example.com/message",
        "$defs": {"id": {"$anchor": "id", "type": "string", "format": "uuid"}},
        "type": "object",
        "properties": {"id": {"$ref": "#id"}, "parts": {"type": "array", "items": [True, {"type": "string"}]}},
        "allOf": [{"properties": {"at": {"type": "string", "format": "date-time"}}}],
        "unevaluatedProperties": False,
    },
    "a bundle with a URI for each definition": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/asset.json",
        "type": "object",
        "properties": {"owner": {"$ref": "https://example.com/person.json"}},
        "definitions": {
            "https://example.com/person.json": {
                "$id": "https://example.com/person.json",
                "type": "object",
                "properties": {"friends": {"type": "array", "items": {"$ref": "#"}}, "name": {"type": "string"}},
                "required": ["name"],
            }
        },
    },
    "a component of OpenAPI": {
        "$ref": "#/components/schemas/Pet",
        "components": {
            "schemas": {
                "Pet": {
                    "type": "object",
                    "required": ["id"],
                    "discriminator": {"propertyName": "kind"},
                    "properties": {
                        "id": {"type": "integer", "format": "int64", "readOnly": True, "example": 7},
                        "kind": {"type": "string", "nullable": True, "xml": {"attribute": True}},
                        "owner": {"$ref": "#/components/schemas/Owner"},
                    },
                    "externalDocs": {"url": "https://example.com"},
                },
                "Owner": {"properties": {"email": {"type": "string", "format": "email", "x-order": 1}}},
            }
        },
    },
    "an event with several actions": {
        "$schema": "http://json-schema.org/draft-07/schema",
        "$ref": "#/definitions/event",
        "definitions": {
            "event": {"oneOf": [{"$ref": "#/definitions/opened"}, {"$ref": "#/definitions/closed"}]},
            "opened": {
                "type": "object",
                "required": ["action", "reactions"],
                "properties": {
                    "action": {"type": "string", "enum": ["opened"]},
                    "reactions": {
                        "type": "object",
                        "properties": {"+1": {"type": "integer"}, "-1": {"type": "integer"}},
                    },
                },
            },
            "closed": {
                "type": "object",
                "required": ["action"],
                "properties": {"action": {"type": "string", "enum": ["closed"]}, "by": {"type": ["string", "null"]}},
                "tsAdditionalProperties": False,
            },
        },
    },
    "a resource that contains itself": {
        "$ref": "#/definitions/io.example.Props",
        "definitions": {
            "io.example.Props": {
                "description": "A node of a tree.",
                "properties": {
                    "not": {"$ref": "#/definitions/io.example.Props"},
                    "allOf": {"type": "array", "items": {"$ref": "#/definitions/io.example.Props"}},
                    "labels": {"type": "object", "additionalProperties": {"type": "string", "default": ""}},
                    "size": {"oneOf": [{"type": "string"}, {"type": "number"}], "x-example-quantity": True},
                },
                "type": "object",
            }
        },
    },
    "a model of pydantic": {
        "$defs": {"Color": {"enum": ["red", "green"], "title": "Color", "type": "string"}},
        "title": "Car",
        "type": "object",
        "required": ["seats"],
        "properties": {
            "color": {"anyOf": [{"$ref": "#/$defs/Color"}, {"type": "null"}], "default": None},
            "seats": {"exclusiveMinimum": 0, "title": "Seats", "type": "integer"},
            "prices": {"default": {}, "additionalProperties": {"type": "number"}, "title": "Prices", "type": "object"},
        },
    },
    "a dictionary with limits": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 3,
        "propertyNames": {"pattern": "^[a-z]"},
        "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, {"type": "boolean"}]},
    },
}
"""Each is a whole file, by a name for it."""
