"""Schemas that apply other schemas to the same value: none may lead back to itself, and they must not multiply.

A schema's cost is the number of schemas that one value may be held against before anything inside it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..problems.problem import SpecProblem
from ..problems.spec_rules import REFERENCE_ENDLESS, TOO_LARGE
from ..read.keywords import IN_PLACE, inner_schemas
from ..read.library import Library, Location, UnresolvedReferenceError
from .instance import MOST_REFERENCES

MOST_SCHEMAS = 2_000

_FOR_EVER = "refers to itself for ever; recursion must lead through a property of an object, or an item of a list"


def in_place_problems(library: Library, locations: Iterable[Location]) -> Iterator[SpecProblem]:
    """A problem at each reference that leads back to where it stands, and at each schema that costs too much."""
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
        if chains[first] > MOST_REFERENCES >= longest:
            yield _endless(library, first, f"leads through more than {MOST_REFERENCES} references")
        below = [costs.get(target, 1) for target in edges[first]]
        costs[first] = min(1 + sum(below), MOST_SCHEMAS + 1)
        if costs[first] > MOST_SCHEMAS >= max(below, default=0):
            message = f"applies more than {MOST_SCHEMAS:,} schemas to one value, references followed; make it simpler"
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
    """Groups of schemas that lead to each other, each after all that it leads to (Tarjan's algorithm, no recursion)."""
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
