"""JSON Schemas as values: those of a job, and what it takes to move one into a document that has others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

Schema = Mapping[str, JsonValue]
"""A JSON Schema that is an object; `true` and `false` are schemas as well, and no `Schema`."""

DEFINITIONS = "#/$defs/"

_ONE = frozenset(
    {
        *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    }
)
_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_MAPS = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})


@dataclass(frozen=True, slots=True)
class JobSchemas:
    """What a job does, takes and returns. References lead only to `#/$defs/...` inside each of the two schemas."""

    params: Schema
    result: Schema
    description: str = ""


def schemas_of_models(params: type[BaseModel], result: type[BaseModel]) -> JobSchemas:
    """The schemas of a job that has no spec, as Pydantic tells them."""
    about = (params.__doc__ or "").strip().partition("\n")[0]
    return JobSchemas(params.model_json_schema(by_alias=True), result.model_json_schema(by_alias=True), about)


def definitions_of(schema: Schema) -> Schema:
    """What its references lead to, by name."""
    found = schema.get("$defs")
    return found if isinstance(found, dict) else {}


def refer_by(schema: JsonValue | Schema, rename: Callable[[str], str]) -> JsonValue:
    """A copy in which each reference to a definition is what `rename` makes of its name; values are left alone.

    What only looks like a reference stays: a property of that name, and what stands in `const`, `enum` or `default`.
    """
    if not isinstance(schema, Mapping):
        return schema
    return {key: _referring(key, value, rename) for key, value in schema.items()}


def parts_of(schema: JsonValue | Schema) -> Iterator[JsonValue]:
    """The schemas directly inside a schema, its definitions included, references not followed."""
    for key, value in schema.items() if isinstance(schema, Mapping) else ():
        if key in _LISTS and isinstance(value, list):
            yield from value
        elif key in _MAPS and isinstance(value, dict):
            yield from value.values()
        elif key in _ONE:
            yield value


def _referring(key: str, value: JsonValue, rename: Callable[[str], str]) -> JsonValue:
    if key == "$ref" and isinstance(value, str) and value.startswith(DEFINITIONS):
        return rename(value.removeprefix(DEFINITIONS))
    if key in _LISTS and isinstance(value, list):
        return [refer_by(part, rename) for part in value]
    if key in _MAPS and isinstance(value, dict):
        return {name: refer_by(part, rename) for name, part in value.items()}
    return refer_by(value, rename) if key in _ONE else value
