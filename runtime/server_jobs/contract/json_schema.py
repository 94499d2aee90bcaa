"""JSON Schemas of jobs, and helpers to embed them into other documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

Schema = Mapping[str, JsonValue]
"""A JSON Schema that is an object. The schemas `true` and `false` are not of this type."""

DEFINITIONS = "#/$defs/"

NO_RESULT: Schema = {"type": "null"}
"""The schema of the result of a job that has none. Its handler returns None, and the row has the JSON text `null`."""

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
    """Description, params and result of a job. References inside of each schema point to its `#/$defs/...`."""

    params: Schema
    result: Schema
    description: str = ""


def schemas_of_models(params: type[BaseModel], result: type[BaseModel | None]) -> JobSchemas:
    """Return the schemas of a job without a spec, from its models."""
    about = (params.__doc__ or "").strip().partition("\n")[0]
    returned = result.model_json_schema(by_alias=True) if issubclass(result, BaseModel) else NO_RESULT
    return JobSchemas(params.model_json_schema(by_alias=True), returned, about)


def definitions_of(schema: Schema) -> Schema:
    """Return the definitions of a schema by name."""
    found = schema.get("$defs")
    return found if isinstance(found, dict) else {}


def refer_by(schema: JsonValue | Schema, rename: Callable[[str], str]) -> JsonValue:
    """Return a copy with each reference to a definition replaced by `rename(name)`.

    Leave everything else unchanged, such as a property named `$ref`, or values in `const`, `enum` and `default`.
    """
    if not isinstance(schema, Mapping):
        return schema
    return {key: _referring(key, value, rename) for key, value in schema.items()}


def parts_of(schema: JsonValue | Schema) -> Iterator[JsonValue]:
    """Yield the direct subschemas of a schema and its definitions. Does not follow references."""
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
