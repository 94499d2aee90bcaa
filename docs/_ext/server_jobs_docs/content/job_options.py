"""The keys of `x-job`, from the JSON Schema of specs that the generator ships."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import JsonValue
from server_jobs_generator.options.schema import spec_schema

from ..markdown import code, codes, table

Schema = Mapping[str, JsonValue]


def options() -> str:
    """Return the table of all keys, the keys of inner objects included."""
    return table(("Key", "Value", "Default", "Meaning"), rows())


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield a row per key."""
    definitions = _object(spec_schema(), "$defs")
    yield from _rows(_object(definitions, "job"), "", definitions)


def _rows(schema: Schema, path: str, definitions: Schema) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", [])
    for name, stated in _object(schema, "properties").items():
        found = _resolved(cast("Schema", stated), definitions)
        is_required = isinstance(required, list) and name in required
        default = "required" if is_required else _default(found)
        yield code(path + name), _value(found, definitions), default, str(found.get("description", ""))
        items = _resolved(_object(found, "items"), definitions)
        yield from _rows(found, f"{path}{name}.", definitions)
        yield from _rows(items, f"{path}{name}[].", definitions)


def _object(schema: Schema, key: str) -> Schema:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Return the schema with its reference replaced. Keywords next to the reference win."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    return {**_object(definitions, reference.removeprefix("#/$defs/")), "$ref": reference, **schema}


def _default(schema: Schema) -> str:
    return code(json.dumps(schema["default"])) if "default" in schema else "none"


def _value(schema: Schema, definitions: Schema) -> str:
    choices = schema.get("enum")
    if isinstance(choices, list):
        return codes(map(json.dumps, choices))
    match schema.get("$ref"), schema.get("type"):
        case "#/$defs/duration", _:
            return "duration"
        case "#/$defs/pointers", _:
            return "list of JSON pointers"
        case _, "array":
            return f"list of {_plural(_resolved(_object(schema, 'items'), definitions))}"
        case _, "integer" | "number" as kind if "minimum" in schema and "maximum" in schema:
            return f"{kind}, {schema['minimum']} to {schema['maximum']}"
        case _, kind:
            return str(kind)


def _plural(schema: Schema) -> str:
    return f"{schema.get('type', 'value')}s"
