"""What a typed schema looks like: the form in which the model plan reads schemas. `typed_schema` makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from ..lint.schema_lint import Schema, types_of
from ..read.keywords import inner_schemas

DEFINITIONS = "#/$defs/"
# What one job may describe, references written out.
MAX_SCHEMAS = 2_000
MAX_LEVELS = 32


def is_class(schema: JsonValue | Schema) -> bool:
    """Whether objects that fit a typed schema become a class of their own, not a `dict`."""
    if not isinstance(schema, Mapping) or "object" not in types_of(schema):
        return False
    return bool(schema.get("properties")) or schema.get("additionalProperties") is False


def referenced_name(schema: JsonValue) -> str | None:
    """The key in `$defs` that a bundled schema refers to; None if it is no reference."""
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.removeprefix(DEFINITIONS) if isinstance(reference, str) else None


def rest_of(schema: JsonValue | Schema) -> JsonValue:
    """What has to be checked beside the types of a typed schema; True where there is nothing."""
    rest = schema.get("allOf") if isinstance(schema, Mapping) else None
    return rest[0] if isinstance(rest, list) else True


def typed_children(schema: JsonValue) -> Iterator[JsonValue]:
    """The schemas directly inside a typed schema that become types."""
    for place, inner in inner_schemas(schema):
        if place[0] not in ("$defs", "allOf"):
            yield inner


def self_contained(schema: JsonValue, definitions: Schema) -> JsonValue:
    """A schema together with all the definitions that it leads to."""
    reached: dict[str, JsonValue] = {}
    pending = [schema]
    while pending:
        one = pending.pop()
        pending.extend(inner for _, inner in inner_schemas(one))
        name = referenced_name(one)
        if name is not None and name not in reached:
            reached[name] = definitions[name]
            pending.append(definitions[name])
    if not reached or not isinstance(schema, dict):
        return schema
    return {**schema, "$defs": {name: reached[name] for name in sorted(reached)}}
