"""Places in schemas where a dropped keyword would refuse values that the schema with it accepts.

Such a place is below `not`, `if`, `oneOf` or `contains`, also through references.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import JsonValue
from server_jobs.contract.values import path_of
from server_jobs_generator.read.document import Pointer
from server_jobs_generator.read.keywords import SCHEMA_MAP

Place = tuple[str, Pointer]
"""The name of a file, and a pointer into it."""

_TURNED = frozenset({"not", "if", "oneOf", "contains"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_WITH_NAMES = SCHEMA_MAP | {"dependencies"}


@dataclass(frozen=True, slots=True)
class Turned:
    """The references and the turning keywords of some files, by name."""

    files: Mapping[str, JsonValue]
    keywords: frozenset[Place]
    references: Mapping[Place, list[Place]]
    unresolved: list[Place]

    def around(self, place: Place) -> set[Place]:
        """Return the turning keywords around a place, and around each reference that leads to it."""
        found: set[Place] = set()
        pending, seen = [place, *self.unresolved], {place, *self.unresolved}
        while pending:
            name, pointer = pending.pop()
            above = [(name, pointer[:length]) for length in range(len(pointer) + 1)]
            found.update(self.keywords.intersection(above))
            new = [one for target in above for one in self.references.get(target, ()) if one not in seen]
            seen.update(new)
            pending += new
        return {one for one in found if not self._is_exclusive(one)}

    def _is_exclusive(self, keyword: Place) -> bool:
        """Whether the branches of a `oneOf` exclude each other, because a required property has other texts in each."""
        name, pointer = keyword
        branches = value_at(self.files[name], pointer)
        if pointer[-1] != "oneOf" or not isinstance(branches, list):
            return False
        each = [dict(_texts(self._followed(name, branch))) for branch in branches]
        common = set(each[0]).intersection(*each) if each else set()
        return any(
            len(set().union(*(one[key] for one in each))) == sum(len(one[key]) for one in each) for key in common
        )

    def _followed(self, name: str, schema: JsonValue) -> JsonValue:
        for _ in range(len(self.references) + 1):
            if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
                break
            target = _target(self.files, name, str(schema["$ref"]))
            if target is None:
                break
            name, schema = target[0], value_at(self.files[target[0]], target[1])
        return schema


def turned(files: Mapping[str, JsonValue]) -> Turned:
    """Read these files, by name."""
    keywords: set[Place] = set()
    references: dict[Place, list[Place]] = defaultdict(list)
    unresolved: list[Place] = []
    for name, document in files.items():
        for pointer, schema in _schemas(document, ()):
            keywords |= {(name, (*pointer, key)) for key in schema.keys() & _TURNED}
            for reference in (schema[key] for key in _REFERENCES if isinstance(schema.get(key), str)):
                target = _target(files, name, str(reference))
                unresolved += [(name, pointer)] if target is None else []
                if target is not None:
                    references[target].append((name, pointer))
    return Turned(files, frozenset(keywords), references, unresolved)


def _schemas(value: JsonValue, pointer: Pointer) -> Iterator[tuple[Pointer, Mapping[str, JsonValue]]]:
    """Yield each object that may be a schema. The names in `properties` and similar maps are no keywords."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _schemas(item, (*pointer, index))
    elif isinstance(value, dict):
        yield pointer, value
        for key, inner in value.items():
            named = key in _WITH_NAMES and isinstance(inner, dict)
            parts = inner.items() if named and isinstance(inner, dict) else [(None, inner)]
            for name, part in parts:
                yield from _schemas(part, (*pointer, key) if name is None else (*pointer, key, name))


def _target(files: Mapping[str, JsonValue], name: str, reference: str) -> Place | None:
    """Return the place to which a reference leads; None for an anchor, a URI, or nothing."""
    path, _, fragment = reference.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
    if file not in files or (fragment and not fragment.startswith("/")):
        return None
    place = tokens(files[file], path_of(unquote(fragment)))
    return None if place is None else (file, place)


def tokens(value: JsonValue, keys: list[str]) -> Pointer | None:
    """Return the keys with numbers for the indexes of lists; None if they lead to nothing."""
    found: list[str | int] = []
    for key in keys:
        token: str | int = int(key) if isinstance(value, list) and key.isdecimal() else key
        value = value_at(value, (token,))
        if value is None:
            return None
        found.append(token)
    return tuple(found)


def value_at(value: JsonValue, pointer: Pointer) -> JsonValue:
    """Return the value at a pointer; None if there is none."""
    for token in pointer:
        if isinstance(value, dict) and token in value:
            value = value[str(token)]
        elif isinstance(value, list) and isinstance(token, int) and token < len(value):
            value = value[token]
        else:
            return None
    return value


def _texts(schema: JsonValue) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the required properties of an object that state their texts, with the texts."""
    stated = schema if isinstance(schema, dict) else {}
    properties, required = stated.get("properties"), stated.get("required")
    if stated.get("type") != "object" or not isinstance(properties, dict) or not isinstance(required, list):
        return
    for name, inner in properties.items():
        facts = inner if isinstance(inner, dict) else {}
        values = [facts["const"]] if "const" in facts else facts.get("enum")
        if isinstance(values, list) and name in required and all(isinstance(value, str) for value in values):
            yield name, frozenset(map(str, values))
