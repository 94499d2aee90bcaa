"""Circles of schemas: references without an end, schemas that cost too much, and values and defaults without an end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import JsonValue

from ..problems.problem import SpecProblem, shown
from ..problems.rules import REFERENCE_ENDLESS, TOO_LARGE, VALUE_ENDLESS
from ..read.document import Pointer
from ..read.keywords import IN_PLACE, Schema, inner_schemas, types_of
from ..read.library import Library, Location, UnresolvedReferenceError

_MOST_REFERENCES = 64
_MOST_SCHEMAS = 2_000

_FOR_EVER = "refers to itself endlessly; recursion must lead through a property of an object, or an item of a list"

_Way = tuple[Location, ...]
"""Schemas that must all have a value, so that another schema has one."""


def in_place_problems(library: Library, locations: Iterable[Location]) -> Iterator[SpecProblem]:
    """Yield a problem for each reference that closes a circle, and for each schema that costs too much."""
    edges = {location: tuple(_targets(library, location)) for location in locations}
    costs: dict[Location, int] = {}
    chains: dict[Location, int] = {}
    for group in _strongly_connected(edges):
        first = group[0]
        if len(group) > 1 or first in edges[first]:
            yield from (_endless(library, one, _FOR_EVER) for one in group if _has_reference(library, one))
            costs |= dict.fromkeys(group, 1)
            continue
        longest = max((chains.get(target, 0) for target in edges[first]), default=0)
        chains[first] = longest + _has_reference(library, first)
        if chains[first] > _MOST_REFERENCES >= longest:
            yield _endless(library, first, f"leads through more than {_MOST_REFERENCES} references")
        below = [costs.get(target, 1) for target in edges[first]]
        costs[first] = min(1 + sum(below), _MOST_SCHEMAS + 1)
        if costs[first] > _MOST_SCHEMAS >= max(below, default=0):
            message = f"applies more than {_MOST_SCHEMAS:,} schemas to one value, references followed; make it simpler"
            yield library.documents[first.file].problem(first.pointer, TOO_LARGE, message)


def _targets(library: Library, location: Location) -> Iterator[Location]:
    schema = library.value_at(location)
    if not isinstance(schema, dict):
        return
    if isinstance(reference := schema.get("$ref"), str):
        with suppress(UnresolvedReferenceError):
            yield library.resolve(reference, location.file)
    for place, _ in inner_schemas(schema):
        if place[0] in IN_PLACE:
            yield Location(location.file, (*location.pointer, *place))


def _has_reference(library: Library, location: Location) -> bool:
    schema = library.value_at(location)
    return isinstance(schema, dict) and "$ref" in schema


def _endless(library: Library, location: Location, message: str) -> SpecProblem:
    pointer = (*location.pointer, "$ref")
    return library.documents[location.file].problem(pointer, REFERENCE_ENDLESS, message)


def _strongly_connected(edges: dict[Location, tuple[Location, ...]]) -> Iterator[list[Location]]:
    """Yield groups of schemas that lead to each other, after the groups they lead to (Tarjan's algorithm)."""
    numbers: dict[Location, int] = {}
    lowest: dict[Location, int] = {}
    stack: list[Location] = []
    on_stack: set[Location] = set()
    for start in edges:
        if start in numbers:
            continue
        work = [(start, iter(edges[start]))]
        numbers[start] = lowest[start] = len(numbers)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in edges:
                    continue
                if target not in numbers:
                    numbers[target] = lowest[target] = len(numbers)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges[target])))
                    break
                if target in on_stack:
                    lowest[node] = min(lowest[node], numbers[target])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[node])
                if lowest[node] == numbers[node]:
                    at = stack.index(node)
                    group, stack = stack[at:], stack[:at]
                    on_stack.difference_update(group)
                    yield group


def endless_properties(library: Library, locations: Iterable[Location]) -> Iterator[SpecProblem]:
    """Yield one problem for each circle of schemas without a finite value, at a required property on the circle.

    Circles without a property are left out, because bundling rejects them.
    """
    ways = {location: list(_Ways(library, location).find()) for location in locations}
    finite = _with_a_value(ways)
    following = {
        location: next(needed for needed in found[0] if needed not in finite)
        for location, found in ways.items()
        if location not in finite
    }
    for circle in _circles(following):
        for location in circle:
            if (problem := _endless_value(library, location, following[location])) is not None:
                yield problem
                break


@dataclass(frozen=True, slots=True)
class _Ways:
    """Computes the ways to make a value of a schema. Invalid schemas are read as permissively as possible."""

    library: Library
    location: Location

    def find(self) -> Iterator[_Way]:
        schema = self.library.value_at(self.location)
        if not isinstance(schema, dict):
            yield ()
        elif isinstance(reference := schema.get("$ref"), str):
            yield self._target(reference)
        elif (key := "anyOf" if "anyOf" in schema else "oneOf") in schema:
            yield from self._branches(key, schema[key])
        elif "const" in schema or "enum" in schema or not (types := types_of(schema)):
            yield ()
        else:
            yield from (self._of_type(name, schema) for name in types)

    def _target(self, reference: str) -> _Way:
        try:
            return (self.library.resolve(reference, self.location.file),)
        except UnresolvedReferenceError:
            return ()

    def _branches(self, key: str, branches: JsonValue) -> Iterator[_Way]:
        if not isinstance(branches, list) or not branches:
            yield ()
            return
        for index in range(len(branches)):
            yield self._schemas((key, index))

    def _of_type(self, name: str, schema: Schema) -> _Way:
        match name:
            case "object":
                required = schema.get("required")
                names = required if isinstance(required, list) else []
                return self._schemas(*(("properties", each) for each in names if isinstance(each, str)))
            case "array" if isinstance(least := schema.get("minItems"), int) and least > 0:
                prefix = schema.get("prefixItems")
                count = len(prefix) if isinstance(prefix, list) else 0
                places: list[Pointer] = [("prefixItems", index) for index in range(min(count, least))]
                return self._schemas(*places, *([("items",)] if least > count else []))
            case _:
                return ()

    def _schemas(self, *places: Pointer) -> _Way:
        found = (Location(self.location.file, (*self.location.pointer, *place)) for place in places)
        return tuple(location for location in dict.fromkeys(found) if location in self.library.schemas)


def _with_a_value(ways: dict[Location, list[_Way]]) -> set[Location]:
    """Return the schemas with a finite value.

    Computes a least fixed point: first the schemas whose values need no other schema, then the schemas that need only
    these, until nothing changes.
    """
    waiting: dict[Location, list[tuple[Location, int]]] = defaultdict(list)
    missing = {(location, index): len(way) for location, found in ways.items() for index, way in enumerate(found)}
    for location, found in ways.items():
        for index, way in enumerate(found):
            for needed in way:
                waiting[needed].append((location, index))
    finite: set[Location] = set()
    pending = [location for (location, _), count in missing.items() if count == 0]
    while pending:
        location = pending.pop()
        if location in finite:
            continue
        finite.add(location)
        for place in waiting[location]:
            missing[place] -= 1
            if missing[place] == 0:
                pending.append(place[0])
    return finite


def _circles(following: dict[Location, Location]) -> Iterator[list[Location]]:
    seen: set[Location] = set()
    for start in following:
        path: dict[Location, None] = {}
        location = start
        while location not in seen:
            seen.add(location)
            path[location] = None
            location = following[location]
        if location in path:
            steps = list(path)
            yield steps[steps.index(location) :]


def _endless_value(library: Library, location: Location, needed: Location) -> SpecProblem | None:
    if needed.file != location.file or needed.pointer[:-1] != (*location.pointer, "properties"):
        return None
    schema, name = library.value_at(location), needed.pointer[-1]
    required = schema.get("required") if isinstance(schema, dict) else None
    if not isinstance(required, list) or name not in required:
        return None
    message = f"no value can fit: {shown(name)} is required, and its value would have to contain another one, endlessly"
    pointer = (*location.pointer, "required", required.index(name))
    message = f"{message}; make {shown(name)} optional"
    return library.documents[location.file].problem(pointer, VALUE_ENDLESS, message)


def endless_defaults(library: Library, locations: Iterable[Location]) -> list[Location]:
    """Return the properties with a default that would fill in other defaults without an end."""
    following = {
        location: tuple(_Filled(library).of(location))
        for location in locations
        if isinstance(schema := library.value_at(location), dict) and isinstance(schema.get("default"), dict | list)
    }
    return [
        location
        for group in _strongly_connected(following)
        for location in group
        if len(group) > 1 or location in following[location]
    ]


@dataclass(slots=True)
class _Filled:
    """Finds the defaults that a default value fills in: of the objects inside it, for properties that they lack."""

    library: Library
    seen: set[tuple[Location, int]] = field(default_factory=set[tuple[Location, int]])

    def of(self, location: Location) -> Iterator[Location]:
        schema = self.library.value_at(location)
        if isinstance(schema, dict):
            yield from self._inside(location, schema["default"])

    def _inside(self, location: Location, value: JsonValue) -> Iterator[Location]:
        """Yield the defaults that may be filled into a value of the schema at a location, whichever branch it fits."""
        schema = self.library.value_at(location)
        if not isinstance(schema, dict) or (location, id(value)) in self.seen:
            return
        self.seen.add((location, id(value)))
        for target in _targets(self.library, location):
            yield from self._inside(target, value)
        properties = schema.get("properties")
        if isinstance(properties, dict) and isinstance(value, dict):
            for name in properties:
                place = Location(location.file, (*location.pointer, "properties", name))
                if name in value:
                    yield from self._inside(place, value[name])
                else:
                    yield place
        parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                for part in parts:
                    yield from self._inside(Location(location.file, (*location.pointer, key)), part)
