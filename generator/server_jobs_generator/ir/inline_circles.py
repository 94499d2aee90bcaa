"""Definitions that lead back to themselves without a class between: no type can be written for them.

Where the circle closes stands a value of any type that is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from .typed_form import is_class, referenced_name, rest_of, typed_children

_LONGEST_CHAIN = 100


def cut_circles(definitions: dict[str, JsonValue]) -> None:
    """Cut the circles of these typed schemas, which are replaced where needed."""
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
