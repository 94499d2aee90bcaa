"""Draft 7 of JSON Schema, read as what it says in draft 2020-12: everything behind this sees one dialect.

A file is in draft 7 when its `$schema` says so. What that draft does not know is no keyword in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from .document import Document, Pointer
from .keywords import inner_schemas

DIALECT = "http://json-schema.org/draft-07/schema"

_UNKNOWN = frozenset(
    {
        *(
            "$anchor",
            "$defs",
            "$dynamicAnchor",
            "$dynamicRef",
            "contentSchema",
            "dependentRequired",
            "dependentSchemas",
        ),
        *("maxContains", "minContains", "prefixItems", "unevaluatedItems", "unevaluatedProperties"),
    }
)

Parts = dict[str, JsonValue]


def is_draft7(value: JsonValue) -> bool:
    """Whether a file says that it is in draft 7."""
    stated = value.get("$schema") if isinstance(value, dict) else None
    return isinstance(stated, str) and stated.removesuffix("#") == DIALECT


def from_draft7(document: Document) -> tuple[Document, tuple[Pointer, ...]]:
    """The same file in draft 2020-12, and the pointers of keywords that draft 7 does not know."""
    translation = _Translation()
    value = translation.translated(document.value, (), ())
    written = {new: old for old, new in translation.moved.items() if old != new}
    return replace(document, value=value, written=written), tuple(translation.unknown)


@dataclass(slots=True)
class _Translation:
    """`moved` has the new pointer of each schema by its old one, and of what else is named differently now."""

    moved: dict[Pointer, Pointer] = field(default_factory=dict[Pointer, Pointer])
    unknown: list[Pointer] = field(default_factory=list[Pointer])

    def translated(self, schema: JsonValue, old: Pointer, new: Pointer) -> JsonValue:
        """The schema that stood at one pointer, for another."""
        self.moved[old] = new
        if not isinstance(schema, dict):
            return schema
        self.unknown += [(*old, key) for key in schema if key in _UNKNOWN]
        said = dict(self._members(schema, old, new))
        if isinstance(said.get("$ref"), str):
            # What stands beside a reference means nothing in draft 7, its definitions aside.
            return {key: value for key, value in said.items() if key in ("$ref", "$defs", "$schema", "$comment")}
        return said

    def _members(self, schema: Parts, old: Pointer, new: Pointer) -> Iterator[tuple[str, JsonValue]]:
        for key, value in schema.items():
            match key, value:
                case "definitions", _:
                    yield "$defs", self._inner("$defs", value, (*old, key), (*new, "$defs"))
                case "items", list():
                    yield "prefixItems", self._inner("prefixItems", value, (*old, key), (*new, "prefixItems"))
                case "additionalItems", _:
                    if isinstance(schema.get("items"), list):
                        yield "items", self._inner("items", value, (*old, key), (*new, "items"))
                case "dependencies", dict():
                    yield from self._dependencies(value, (*old, key), new)
                case "$id", str() if value.startswith("#"):
                    yield "$anchor", value[1:]
                case _ if key not in _UNKNOWN:
                    yield key, self._inner(key, value, (*old, key), (*new, key))
                case _:
                    pass

    def _dependencies(self, stated: Parts, old: Pointer, new: Pointer) -> Iterator[tuple[str, JsonValue]]:
        required = {name: value for name, value in stated.items() if isinstance(value, list)}
        schemas: Parts = {}
        for name, value in stated.items():
            key = "dependentRequired" if name in required else "dependentSchemas"
            self.moved[*old, name] = (*new, key, name)
            if name not in required:
                schemas[name] = self.translated(value, (*old, name), (*new, key, name))
        if required:
            yield "dependentRequired", dict(required)
        if schemas:
            yield "dependentSchemas", schemas

    def _inner(self, key: str, value: JsonValue, old: Pointer, new: Pointer) -> JsonValue:
        """The value of a keyword, with the schemas in it translated."""
        self.moved[old] = new
        places = {place[1:]: inner for place, inner in inner_schemas({key: value})}
        if () in places:
            return self.translated(value, old, new)
        found = {place: self.translated(inner, (*old, *place), (*new, *place)) for place, inner in places.items()}
        if isinstance(value, list) and found:
            return [found.get((index,), item) for index, item in enumerate(value)]
        if isinstance(value, dict) and found:
            return {name: found.get((name,), item) for name, item in value.items()}
        return value
