"""The form of a typed schema, in which the model plan reads schemas. `typed_schema` makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from ..read.keywords import ANNOTATIONS, ONE_SCHEMA, SCHEMA_LIST, SCHEMA_MAP, Schema, inner_schemas, types_of

DEFINITIONS = "#/$defs/"
# The most schemas that one job may describe, with references expanded.
MAX_SCHEMAS = 100_000
MAX_LEVELS = 64

_LONGEST_CHAIN = 100


def is_class(schema: JsonValue | Schema) -> bool:
    """Return whether objects of a typed schema become a class instead of a `dict`."""
    if not isinstance(schema, Mapping) or "object" not in types_of(schema):
        return False
    return bool(schema.get("properties")) or schema.get("additionalProperties") is False


def referenced_name(schema: JsonValue) -> str | None:
    """Return the key in `$defs` that a bundled schema refers to; None if it is no reference."""
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.removeprefix(DEFINITIONS) if isinstance(reference, str) else None


def rest_of(schema: JsonValue | Schema) -> JsonValue:
    """Return the schema that must be checked in addition to the types; True if there is none."""
    rest = schema.get("allOf") if isinstance(schema, Mapping) else None
    return rest[0] if isinstance(rest, list) else True


def typed_children(schema: JsonValue) -> Iterator[JsonValue]:
    """Yield the schemas directly inside a typed schema that become types."""
    for place, inner in inner_schemas(schema):
        if place[0] not in ("$defs", "allOf"):
            yield inner


def self_contained(schema: dict[str, JsonValue], definitions: Schema) -> dict[str, JsonValue]:
    """Return a schema together with all the definitions that it reaches, sorted by name."""
    reached: dict[str, JsonValue] = {}
    pending: list[JsonValue] = [schema]
    while pending:
        one = pending.pop()
        pending.extend(inner for _, inner in inner_schemas(one))
        name = referenced_name(one)
        if name is not None and name not in reached:
            reached[name] = definitions[name]
            pending.append(definitions[name])
    if not reached:
        return schema
    return {**schema, "$defs": {name: reached[name] for name in sorted(reached)}}


def without_annotations(schema: JsonValue) -> JsonValue:
    """Return a copy of a schema with the keywords that decide which values fit."""
    if not isinstance(schema, dict):
        return schema
    copy = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    for key, value in copy.items():
        if key in ONE_SCHEMA:
            copy[key] = without_annotations(value)
        elif key in SCHEMA_LIST and isinstance(value, list):
            copy[key] = [without_annotations(inner) for inner in value]
        elif key in SCHEMA_MAP and isinstance(value, dict):
            copy[key] = {name: without_annotations(inner) for name, inner in value.items()}
    return copy


def cut_circles(definitions: dict[str, JsonValue]) -> None:
    """Cut the circles of these typed schemas, replacing them in place.

    A circle has no class in between, so Python cannot express such a type. The place where it closes becomes a value of
    any type, which is checked.
    """
    circles = _Circles(definitions)
    for name in sorted(definitions):
        circles.visit(name)


@dataclass(slots=True)
class _Circles:
    definitions: dict[str, JsonValue]
    done: set[str] = field(default_factory=set[str])
    open: list[str] = field(default_factory=list[str])

    def visit(self, name: str) -> None:
        if name in self.done or is_class(self.definitions[name]):
            return
        self.open.append(name)
        for target in sorted(set(self._inlined(self.definitions[name]))):
            if target in self.open or len(self.open) > _LONGEST_CHAIN:
                self.definitions[name] = self._cut(self.definitions[name], target)
            else:
                self.visit(target)
        self.open.pop()
        self.done.add(name)

    def _inlined(self, schema: JsonValue) -> Iterator[str]:
        name = referenced_name(schema)
        if name is not None and not is_class(self.definitions[name]):
            yield name
        if not is_class(schema):
            for inner in typed_children(schema):
                yield from self._inlined(inner)

    def _cut(self, schema: JsonValue, target: str) -> JsonValue:
        if not isinstance(schema, dict) or is_class(schema):
            return schema
        if referenced_name(schema) == target:
            rest = rest_of(schema)
            checks: JsonValue = {"$ref": schema["$ref"], **({} if rest is True else {"allOf": [rest]})}
            return {**{key: value for key, value in schema.items() if key != "$ref"}, "allOf": [checks]}
        return {key: self._cut_inside(key, value, target) for key, value in schema.items()}

    def _cut_inside(self, key: str, value: JsonValue, target: str) -> JsonValue:
        match key, value:
            case (("items" | "additionalProperties"), _):
                return self._cut(value, target)
            case (("prefixItems" | "anyOf" | "oneOf"), list()):
                return [self._cut(inner, target) for inner in value]
            case _:
                return value
