"""Whether some finite value fits each schema of a library: required properties that lead back to themselves allow none.

A least fixed point: at first no schema has a value, then those that need nothing have one, then those that need only
these, until nothing changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from ..problems.problem import SpecProblem, shown
from ..problems.spec_rules import VALUE_ENDLESS
from ..read.document import Pointer
from ..read.library import Library, Location, UnresolvedReferenceError
from .schema_lint import Schema, types_of

Way = tuple[Location, ...]
"""Schemas that must all have a value; with one for each, the schema that this is a way of has a value too."""


def endless_properties(library: Library, locations: Iterable[Location]) -> Iterator[SpecProblem]:
    """One problem a circle of schemas that no finite value fits, at a required property on it.

    Circles without a property are not reported: no class stands on them, and bundling refuses them all.
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
            if (problem := _problem(library, location, following[location])) is not None:
                yield problem
                break


@dataclass(frozen=True, slots=True)
class _Ways:
    """How a value that fits the schema at a location can be made; wrong schemas are read as generously as possible."""

    library: Library
    location: Location

    def find(self) -> Iterator[Way]:
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

    def _target(self, reference: str) -> Way:
        try:
            return (self.library.resolve(reference, self.location.file),)
        except UnresolvedReferenceError:
            return ()

    def _branches(self, key: str, branches: JsonValue) -> Iterator[Way]:
        if not isinstance(branches, list) or not branches:
            yield ()
            return
        for index in range(len(branches)):
            yield self._schemas((key, index))

    def _of_type(self, name: str, schema: Schema) -> Way:
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

    def _schemas(self, *places: Pointer) -> Way:
        found = (Location(self.location.file, (*self.location.pointer, *place)) for place in places)
        return tuple(location for location in dict.fromkeys(found) if location in self.library.schemas)


def _with_a_value(ways: dict[Location, list[Way]]) -> set[Location]:
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


def _problem(library: Library, location: Location, needed: Location) -> SpecProblem | None:
    if needed.file != location.file or needed.pointer[:-1] != (*location.pointer, "properties"):
        return None
    schema, name = library.value_at(location), needed.pointer[-1]
    required = schema.get("required") if isinstance(schema, dict) else None
    if not isinstance(required, list) or name not in required:
        return None
    message = f"no value can fit: {shown(name)} is required, and its value would need another of the same without end"
    pointer = (*location.pointer, "required", required.index(name))
    message = f"{message}; make {shown(name)} optional"
    return library.documents[location.file].problem(pointer, VALUE_ENDLESS, message)
