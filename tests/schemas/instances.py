"""Random documents for a JSON Schema of any draft: most fit it, and the others are a step or two away."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rstr
from referencing.exceptions import Unresolvable

from .changes import NEW_NAMES, SIMPLE, Changes

Schema = Mapping[str, Any]
# `referencing` has the type, but not in public.
Resolver = Any
Part = tuple[Schema, Resolver]
Properties = dict[str, list[tuple[object, Resolver]]]

_TEXTS: Mapping[str, tuple[str, ...]] = {
    "date": ("2020-02-29",),
    "date-time": ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05.123+01:00"),
    "email": ("ada@example.com",),
    "hostname": ("example.com",),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("::1",),
    "iri": ("https://example.com/ä",),
    "json-pointer": ("/a/b",),
    "regex": ("^a+$",),
    "time": ("03:04:05Z",),
    "uri": ("https://example.com/a?b#c", "urn:a:b"),
    "uri-reference": ("/a/b", "#x", "https://example.com"),
    "uri-template": ("/a/{b}",),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000",),
}
_TYPE_OF_KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset(
        {"properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"}
    ),
    "array": frozenset({"items", "prefixItems", "minItems", "uniqueItems", "contains"}),
    "string": frozenset({"pattern", "format", "minLength", "maxLength"}),
    "number": frozenset({"minimum", "maximum", "multipleOf"}),
}
# Python's `re`, which the reference validator uses, and ECMA-262 differ about these characters.
_DISPUTED = re.compile("[\n\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_DEEPEST = 14
# A schema with hundreds of properties that contain each other would fill the memory.
_MOST_VALUES = 2_000


class Instances:
    """Random documents for a schema. `resolver` resolves the references in it."""

    def __init__(self, schema: Schema, resolver: Resolver, documents: Sequence[object], chance: random.Random) -> None:
        self._schema = schema
        self._resolver = resolver
        self._chance = chance
        self._texts = rstr.Rstr(chance)
        self._is_exact = True
        self._size = 0
        self._changes = Changes(documents, chance)

    def near(self) -> Iterator[object]:
        """Yield documents without end: one made from the schema, then four changes of it."""
        while True:
            self._is_exact, self._size = self._chance.random() < 0.7, 0
            made = self._made(self._flat(self._schema, self._resolver), 0)
            yield made
            for _ in range(4):
                yield self._changes.of(made)

    def _flat(self, schema: object, resolver: Resolver, level: int = 0) -> list[Part]:
        """Return the schemas that apply to one value. Choose a branch of each union."""
        if not isinstance(schema, dict) or level > 25:
            return []
        parts: list[Part] = [(schema, resolver)]
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(reference := schema.get(keyword), str):
                try:
                    found = resolver.lookup(reference)
                except (Unresolvable, ValueError):
                    continue
                parts += self._flat(found.contents, found.resolver, level + 1)
        for branch in schema.get("allOf", ()):
            parts += self._flat(branch, resolver, level + 1)
        for keyword in ("anyOf", "oneOf"):
            if branches := schema.get(keyword):
                parts += self._flat(self._chance.choice(branches), resolver, level + 1)
        if "if" in schema:
            chosen = ("if", "then") if self._chance.random() < 0.6 else ("else",)
            for keyword in chosen:
                parts += self._flat(schema.get(keyword), resolver, level + 1)
        return parts

    def _made(self, parts: list[Part], depth: int) -> object:
        schemas = [schema for schema, _ in parts]
        self._size += 1
        if depth > _DEEPEST:
            return self._simple()
        for schema in schemas:
            if "const" in schema:
                return copy.deepcopy(schema["const"])
            if schema.get("enum") and not self._slips():
                return copy.deepcopy(self._chance.choice(schema["enum"]))
        match self._chance.choice(sorted(_types_of(schemas)) or ["any"]):
            case "object":
                return self._object(parts, depth)
            case "array":
                return self._array(parts, depth)
            case "string":
                return _DISPUTED.sub("", self._text(schemas))
            case "integer" | "number" as kind:
                return self._number(schemas, is_whole=kind == "integer")
            case "boolean":
                return self._chance.random() < 0.5
            case "null":
                return None
            case _:
                return self._simple()

    def _simple(self) -> object:
        return copy.deepcopy(self._chance.choice(SIMPLE))

    def _slips(self) -> bool:
        """Return whether to break a rule. Documents of many parts would never fit if each part slipped at times."""
        return not self._is_exact and self._chance.random() < 0.05

    def _number(self, schemas: list[Schema], *, is_whole: bool) -> object:
        least = _limits(schemas, "minimum", "exclusiveMinimum")
        most = _limits(schemas, "maximum", "exclusiveMaximum")
        near = [value + step for value in least[-1:] for step in (0, 1, 0.5)]
        near += [value - step for value in most[:1] for step in (0, 1, 0.5)]
        value = self._chance.choice(near or [0, 1, -3, 7, 12, 10**6, 1.5, -0.25])
        for divisor in _limits(schemas, "multipleOf"):
            value = divisor * round(value / divisor)
        return int(value) if is_whole and not self._slips() else value

    def _text(self, schemas: list[Schema]) -> str:
        for schema in schemas:
            if isinstance(pattern := schema.get("pattern"), str) and (text := self._matching(pattern)) is not None:
                return text
            if (texts := _TEXTS.get(str(schema.get("format")))) and not self._slips():
                return self._chance.choice(texts)
        least = int(max(_limits(schemas, "minLength"), default=0))
        most = int(min(_limits(schemas, "maxLength"), default=least + 6))
        length = self._chance.randint(least, max(least, min(most, least + 6)))
        return "".join(self._chance.choice("abcXYZ019 _-.äé😀") for _ in range(min(length, 5_000)))

    def _matching(self, pattern: str) -> str | None:
        """Return a text that fits a pattern, if Python knows its syntax."""
        try:
            return str(self._texts.xeger(pattern))[:200]
        except (re.error, ValueError, OverflowError, KeyError, TypeError):
            return None

    def _array(self, parts: list[Part], depth: int) -> list[object]:
        schemas = [schema for schema, _ in parts]
        least = int(max(_limits(schemas, "minItems"), default=0))
        most = int(min(_limits(schemas, "maxItems"), default=50))
        longest = max(len(_items(schema)[0]) for schema in schemas)
        if any(_items(schema)[1] is False for schema in schemas):
            most = min(most, longest)
        length = min(max(self._chance.randint(least, least + 2), longest) if depth < 8 else least, most, 50)
        made: list[object] = []
        for index in range(length):
            inner: list[Part] = []
            for schema, resolver in parts:
                prefix = schema.get("prefixItems", schema.get("items"))
                is_prefix = isinstance(prefix, list)
                others = (
                    schema.get("items") if "prefixItems" in schema or not is_prefix else schema.get("additionalItems")
                )
                inner += self._flat(prefix[index] if is_prefix and index < len(prefix) else others, resolver)
            made.append(self._made(inner, depth + 1))
        for schema, resolver in parts:
            if "contains" in schema:
                made.append(self._made(self._flat(schema["contains"], resolver), depth + 1))
        return made

    def _object(self, parts: list[Part], depth: int) -> dict[str, object]:
        named = _all_properties(parts)
        required = [name for schema, _ in parts for name in _list(schema.get("required"))]
        share = min((0.75, 0.5, 0.3, 0.2, 0.1)[min(depth, 4)], 8 / (len(named) + 1)) if depth < 7 else 0.02
        share = share if self._size < _MOST_VALUES else 0
        optional = [name for name in named if name not in required and self._chance.random() < share]
        made: dict[str, object] = {}
        for name in dict.fromkeys([*required, *optional]):
            if not any(schema is False for schema, _ in named.get(name, ())):
                # Another branch of a union may agree better with the other schemas of the property.
                tries = (self._of_property(parts, named, name) for _ in range(4))
                made[name] = self._made(next(filter(_agree, tries), self._of_property(parts, named, name)), depth + 1)
        is_closed = any(
            schema.get(f"{word}Properties") is False for schema, _ in parts for word in ("additional", "unevaluated")
        )
        for schema, resolver in parts:
            patterns = schema.get("patternProperties")
            for pattern, inner in patterns.items() if isinstance(patterns, dict) else ():
                if self._chance.random() < 0.4 and (name := self._matching(pattern)) is not None:
                    made.setdefault(_DISPUTED.sub("", name)[:40], self._made(self._flat(inner, resolver), depth + 1))
            others = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
            if not is_closed and self._chance.random() < (0.4 if isinstance(others, dict) else 0.1):
                made.setdefault(self._chance.choice(NEW_NAMES), self._made(self._flat(others, resolver), depth + 1))
        return made

    def _of_property(
        self, parts: list[Part], named: Mapping[str, list[tuple[object, Resolver]]], name: str
    ) -> list[Part]:
        found = [part for schema, resolver in named.get(name, ()) for part in self._flat(schema, resolver)]
        for schema, resolver in parts:
            patterns = schema.get("patternProperties")
            fitting = [inner for pattern, inner in patterns.items() if _finds(pattern, name)] if patterns else []
            if not fitting and name not in schema.get("properties", {}):
                fitting = [schema.get("additionalProperties")]
            found += [part for inner in fitting for part in self._flat(inner, resolver)]
        return found


def _agree(parts: Sequence[Part]) -> bool:
    stated = [types for schema, _ in parts if (types := _stated_types(schema))]
    return not stated or bool(set.intersection(*stated))


def _stated_types(schema: Schema) -> set[str]:
    stated = schema.get("type", ())
    types = {stated} if isinstance(stated, str) else set(stated)
    return types | {"integer"} if "number" in types else types


def _types_of(schemas: Sequence[Schema]) -> set[str]:
    stated = [types for schema in schemas if (types := _stated_types(schema))]
    if stated:
        return set.intersection(*stated) or stated[0]
    keywords = {keyword for schema in schemas for keyword in schema}
    return {next((name for name, known in _TYPE_OF_KEYWORDS.items() if known & keywords), "any")}


def _limits(schemas: Sequence[Schema], *keywords: str) -> list[float]:
    stated = [schema.get(keyword) for schema in schemas for keyword in keywords]
    return sorted(limit for limit in stated if isinstance(limit, int | float) and not isinstance(limit, bool))


def _all_properties(parts: Sequence[Part]) -> Properties:
    named: Properties = {}
    for schema, resolver in parts:
        for name, inner in schema.get("properties", {}).items():
            named.setdefault(name, []).append((inner, resolver))
    return named


def _items(schema: Schema) -> tuple[list[object], object]:
    """Return the schemas of the first items, and the schema of the others."""
    if "prefixItems" in schema:
        return _list(schema["prefixItems"]), schema.get("items")
    stated = schema.get("items")
    return (stated, schema.get("additionalItems")) if isinstance(stated, list) else ([], stated)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _finds(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False
