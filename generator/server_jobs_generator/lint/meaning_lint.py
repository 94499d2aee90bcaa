"""Checks of schemas against each other: references, circles, and defaults, examples and constants.

The cost of a schema is the number of schemas that one value is checked against, before its parts. Schemas that apply to
the same value must not form a circle or multiply."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Compiler
from server_jobs.contract.schemas.run import CheckTooLongError, Run, Violation

from ..problems.problem import SpecProblem, did_you_mean, shown
from ..problems.rules import (
    ALLOWS_NOTHING,
    DEFAULT_DOES_NOT_FIT,
    EXAMPLE_DOES_NOT_FIT,
    KEYWORD_VALUE,
    REFERENCE_ENDLESS,
    TOO_LARGE,
    VALUE_DOES_NOT_FIT,
    VALUE_ENDLESS,
    Rule,
)
from ..read.document import Pointer
from ..read.keywords import ANNOTATIONS, IN_PLACE, inner_schemas, value_problem
from ..read.library import Library, Location, NearestSchema, UnresolvedReferenceError
from .schema_lint import Schema, types_of

_MOST_REFERENCES = 64

_MOST_STEPS = 100_000

_DISCRIMINATOR = "discriminator"
Problem = tuple[Pointer, str]
"""The pointer in the schema, and the message."""

_MOST_SCHEMAS = 2_000

_FOR_EVER = "refers to itself endlessly; recursion must lead through a property of an object, or an item of a list"

_Way = tuple[Location, ...]
"""Schemas that must all have a value, so that another schema has one."""


@dataclass(slots=True)
class Fitting:
    """Validates values against the schemas of one library, with a limit of steps for each file.

    Invalid schemas are read as permissively as possible, because other checks report them.
    """

    library: Library
    steps: int = _MOST_STEPS
    compiler: Compiler = field(init=False)

    def __post_init__(self) -> None:
        self.compiler = Compiler(self._resolve)

    def start_file(self) -> None:
        """Reset the limit of steps."""
        self.steps = _MOST_STEPS

    def violations(self, schema: JsonValue, file: str, value: JsonValue) -> list[tuple[Pointer, str]]:
        """Return the violations of a value against a schema in `file`."""
        run = Run(self.steps, report=[])
        try:
            if self.compiler.compile(schema, file)(value, (), None, run):
                return []
        except CheckTooLongError as error:
            return [((), str(error))]
        except RecursionError:
            return [((), "is nested too deep to be checked against its schema")]
        finally:
            self.steps = max(run.steps, 0)
        return [(violation.path, _worded(violation, value)) for violation in run.report or ()]

    def _resolve(self, reference: str, base: str) -> tuple[JsonValue, str]:
        return referenced(self.library, reference, base)


def follow(library: Library, schema: JsonValue, file: str) -> tuple[JsonValue, str]:
    """Return the schema at the end of a chain of plain references, with its file; an empty schema if the chain is
    broken.

    A `$ref` with other keywords beside it is not a plain reference.
    """
    for _ in range(_MOST_REFERENCES):
        if not isinstance(schema, dict) or not schema.keys() <= ANNOTATIONS | {"$ref"}:
            return schema, file
        if not isinstance(reference := schema.get("$ref"), str):
            return schema, file
        schema, file = referenced(library, reference, file)
    return {}, file


def referenced(library: Library, reference: str, file: str) -> tuple[JsonValue, str]:
    """Return the target of a reference, with its file; an empty schema if there is none."""
    try:
        target = library.resolve(reference, file)
    except UnresolvedReferenceError:
        return {}, file
    return library.value_at(target), target.file


def _worded(violation: Violation, value: JsonValue) -> str:
    for token in violation.path:
        value = value[token]  # type: ignore[index]  # a path that the check has found
    return f"{violation.message}, not {shown(value)}" if violation.message.startswith("must ") else violation.message


@dataclass(slots=True)
class MeaningLint:
    """Checks the schemas of a library against each other."""

    library: Library
    fitting: Fitting
    nearest_schema: NearestSchema = field(init=False)

    def __post_init__(self) -> None:
        self.nearest_schema = NearestSchema(self.library)

    def check(self, location: Location) -> Iterator[SpecProblem]:
        """Yield every problem of the schema at a location, except problems of schemas inside it."""
        schema = self.library.value_at(location)
        if not isinstance(schema, dict):
            return
        yield from self._check_reference(location, schema)
        yield from self._check_own_values(location, schema)
        yield from self._check_names(location, schema)
        for place, message in _discriminator_problems(self.library, location, schema):
            yield self._problem(location, place, KEYWORD_VALUE, message)

    def _check_reference(self, location: Location, schema: Schema) -> Iterator[SpecProblem]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return
        try:
            self.library.resolve(reference, location.file)
        except UnresolvedReferenceError as error:
            meant = did_you_mean(self.nearest_schema.to(reference, location.file))
            yield self._problem(location, ("$ref",), error.rule, f"{shown(reference)} {error}{meant}")

    def _check_own_values(self, location: Location, schema: dict[str, JsonValue]) -> Iterator[SpecProblem]:
        if "default" in schema:
            yield from self._check_value(location, schema, ("default",), DEFAULT_DOES_NOT_FIT)
        examples, options = schema.get("examples"), schema.get("enum")
        for index in range(len(examples) if isinstance(examples, list) else 0):
            yield from self._check_value(location, schema, ("examples", index), EXAMPLE_DOES_NOT_FIT)
        others = {key: value for key, value in schema.items() if key != "enum"}
        for index in range(len(options) if isinstance(options, list) else 0):
            yield from self._check_value(location, others, ("enum", index), VALUE_DOES_NOT_FIT)
        if "const" in schema:
            others = {key: value for key, value in schema.items() if key != "const"}
            yield from self._check_value(location, others, ("const",), VALUE_DOES_NOT_FIT)

    def _check_names(self, location: Location, schema: Schema) -> Iterator[SpecProblem]:
        """Yield properties that cannot exist, because `propertyNames` rejects their names."""
        names, required, properties = (schema.get(key) for key in ("propertyNames", "required", "properties"))
        if names is None:
            return
        stated: list[tuple[Pointer, JsonValue]] = []
        if isinstance(required, list):
            stated += [(("required", index), name) for index, name in enumerate(required)]
        if isinstance(properties, dict):
            stated += [(("properties", name), name) for name in properties]
        for place, name in stated:
            for _, message in self.fitting.violations(names, location.file, name):
                yield self._problem(location, place, ALLOWS_NOTHING, f"propertyNames refuses {shown(name)}: {message}")

    def _check_value(self, location: Location, schema: JsonValue, place: Pointer, rule: Rule) -> Iterator[SpecProblem]:
        value = self.library.value_at(Location(location.file, (*location.pointer, *place)))
        for pointer, message in self.fitting.violations(schema, location.file, value):
            yield self._problem(location, (*place, *pointer), rule, f"does not fit its own schema: {message}")

    def _problem(self, location: Location, below: Pointer, rule: Rule, message: str) -> SpecProblem:
        return self.library.documents[location.file].problem((*location.pointer, *below), rule, message)


def _discriminator_problems(library: Library, location: Location, schema: Schema) -> Iterator[Problem]:
    """Yield problems of branches that lack the discriminator's property or share a value of it."""
    stated, key = schema.get(_DISCRIMINATOR), "oneOf" if "oneOf" in schema else "anyOf"
    branches = schema.get(key)
    if not isinstance(stated, dict) or not isinstance(branches, list) or value_problem(_DISCRIMINATOR, stated):
        return
    name = str(stated["propertyName"])
    owners: dict[str, JsonValue] = {}
    for index, branch in enumerate(branches):
        values = _tags(library, branch, location.file, name)
        if not values:
            yield (
                (key, index),
                f"needs a required property {shown(name)} with a text as const, as discriminator names it",
            )
        for value in values:
            if value in owners:
                yield (
                    (key, index),
                    f"two branches have {shown(value)} as their {shown(name)}; give each its own const",
                )
            owners[value] = branch.get("$ref") if isinstance(branch, dict) else None
    yield from _mapping_problems(stated.get("mapping"), owners)


def _mapping_problems(mapping: JsonValue, owners: dict[str, JsonValue]) -> Iterator[Problem]:
    for value, target in mapping.items() if isinstance(mapping, dict) else ():
        place = (_DISCRIMINATOR, "mapping", value)
        if value not in owners:
            yield place, f"no branch has {shown(value)}; remove it, or add the branch"
        elif owners[value] != target:
            yield place, f"the branch with {shown(value)} is {shown(owners[value])}, not {shown(target)}"


def _tags(library: Library, branch: JsonValue, file: str, name: str) -> list[str]:
    """Return the texts allowed for a required property of a branch; none if other values are allowed too."""
    target, file = follow(library, branch, file)
    if not isinstance(target, dict):
        return []
    properties, required = target.get("properties"), target.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list) or name not in required:
        return []
    tag, _ = follow(library, properties.get(name, True), file)
    values = [tag["const"]] if isinstance(tag, dict) and "const" in tag else None
    if values is None and isinstance(tag, dict) and isinstance(options := tag.get("enum"), list):
        values = options
    texts = [value for value in values or () if isinstance(value, str)]
    return texts if values is not None and len(texts) == len(values) else []


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
