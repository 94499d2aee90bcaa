"""Draft 7 of JSON Schema, read as what it says in draft 2020-12: everything behind this sees one dialect.

A file is in draft 7 when its `$schema` says so. What that draft does not know is no keyword in it, and neither is what
stands beside a `$ref`: both are mistakes, as whoever wrote them believes that they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from ..problems.problem import SpecProblem
from ..problems.spec_rules import KEYWORD_MISPLACED, UNKNOWN_KEYWORD
from .document import Document, Pointer
from .keywords import inner_schemas

DIALECT = "http://json-schema.org/draft-07/schema"

_UNKNOWN: Mapping[str, str] = {
    "$anchor": 'write "$id": "#name"',
    "$defs": "write definitions",
    "dependentRequired": "write dependencies",
    "dependentSchemas": "write dependencies",
    "prefixItems": "write items, with a list",
    "unevaluatedItems": "write additionalItems",
    "unevaluatedProperties": "write additionalProperties",
    **dict.fromkeys(("$dynamicAnchor", "$dynamicRef", "contentSchema", "maxContains", "minContains"), "remove it"),
}
"""The keywords of later drafts, and what there is in draft 7."""

_BESIDE_REFERENCE = frozenset({"$ref", "$schema", "$comment", "title", "description", "definitions"})
"""What may stand beside a `$ref` there, as it says nothing about values."""

_NO_EFFECT = (
    'has no effect beside $ref in draft 7; write "allOf": [{"$ref": …}] instead of $ref, '
    "or use draft 2020-12, where both hold"
)

Parts = dict[str, JsonValue]


def is_draft7(value: JsonValue) -> bool:
    """Whether a file says that it is in draft 7."""
    stated = value.get("$schema") if isinstance(value, dict) else None
    return isinstance(stated, str) and stated.removesuffix("#") == DIALECT


def from_draft7(document: Document) -> tuple[Document, tuple[SpecProblem, ...]]:
    """The same file in draft 2020-12, and a problem at each keyword that means nothing in draft 7."""
    translation = _Translation(document)
    value = translation.translated(document.value, (), ())
    written = {new: old for old, new in translation.moved.items() if old != new}
    return replace(document, value=value, written=written), tuple(translation.problems)


@dataclass(slots=True)
class _Translation:
    """`moved` has the new pointer of each schema by its old one, and of what else is named differently now."""

    document: Document
    moved: dict[Pointer, Pointer] = field(default_factory=dict[Pointer, Pointer])
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])

    def translated(self, schema: JsonValue, old: Pointer, new: Pointer) -> JsonValue:
        """The schema that stood at one pointer, for another."""
        self.moved[old] = new
        if not isinstance(schema, dict):
            return schema
        self.problems += self._without_effect(schema, old)
        if isinstance(schema.get("$ref"), str):
            schema = {key: value for key, value in schema.items() if key in _BESIDE_REFERENCE}
        return dict(self._members(schema, old, new))

    def _without_effect(self, schema: Parts, old: Pointer) -> Iterator[SpecProblem]:
        has_reference = isinstance(schema.get("$ref"), str)
        for key in schema:
            if key in _UNKNOWN:
                message = f"{key} is no keyword of draft 7; {_UNKNOWN[key]}, or use draft 2020-12"
                yield self.document.problem((*old, key), UNKNOWN_KEYWORD, message, at_key=True)
            elif has_reference and key not in _BESIDE_REFERENCE:
                message = f"{key} {_NO_EFFECT}"
                yield self.document.problem((*old, key), KEYWORD_MISPLACED, message, at_key=True)

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
                    self.moved[*old, key] = (*new, "$anchor")
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
