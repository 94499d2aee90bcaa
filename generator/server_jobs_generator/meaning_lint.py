"""What a schema says that can only be judged together with others: references, and the values a spec gives itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from pydantic import JsonValue
from server_jobs.values import canonical

from .document import Pointer
from .instance import MOST_REFERENCES, Fitting, follow, kind_of
from .keywords import TYPES
from .library import Library, Location, UnresolvedReferenceError
from .problems import SpecProblem, shown
from .rules import Rule
from .schema_lint import Schema, types_of
from .spec_rules import (
    BRANCHES_OVERLAP,
    DEFAULT_DOES_NOT_FIT,
    EXAMPLE_DOES_NOT_FIT,
    REFERENCE_ENDLESS,
    VALUE_DOES_NOT_FIT,
)

_MOST_COMPARISONS = 200_000


@dataclass(frozen=True, slots=True)
class _Alternative:
    """What is known of the values that fit a branch.

    `tags` are its required properties, None where any value fits; `closed` are the only properties it allows, if so.
    """

    kinds: frozenset[str]
    options: frozenset[str] | None
    tags: Mapping[str, frozenset[str] | None]
    closed: frozenset[str] | None


@dataclass(slots=True)
class MeaningLint:
    """Checks the schemas of a library against each other."""

    library: Library
    fitting: Fitting
    comparisons: int = 0

    def check(self, location: Location) -> Iterator[SpecProblem]:
        """Every problem of the schema at a location, those of schemas inside it aside."""
        schema = self.library.value_at(location)
        if not isinstance(schema, dict):
            return
        yield from self._check_reference(location, schema)
        yield from self._check_own_values(location, schema)
        branches = schema.get("oneOf")
        if isinstance(branches, list):
            yield from self._check_branches(location, branches)

    def _check_reference(self, location: Location, schema: Schema) -> Iterator[SpecProblem]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return
        try:
            self.library.resolve(reference, location.file)
        except UnresolvedReferenceError as error:
            yield self._problem(location, ("$ref",), error.rule, f"{shown(reference)} {error}")
        else:
            if self._is_endless(location):
                message = f"refers to itself for ever, or through more than {MOST_REFERENCES} references"
                yield self._problem(location, ("$ref",), REFERENCE_ENDLESS, message)

    def _is_endless(self, location: Location) -> bool:
        """Whether a chain of nothing but references comes to no end."""
        for _ in range(MOST_REFERENCES):
            schema = self.library.value_at(location)
            if not isinstance(schema, dict) or not isinstance(reference := schema.get("$ref"), str):
                return False
            try:
                location = self.library.resolve(reference, location.file)
            except UnresolvedReferenceError:
                return False
        return True

    def _check_own_values(self, location: Location, schema: Schema) -> Iterator[SpecProblem]:
        if "default" in schema:
            yield from self._check_value(location, schema, ("default",), DEFAULT_DOES_NOT_FIT)
        examples, options = schema.get("examples"), schema.get("enum")
        for index in range(len(examples) if isinstance(examples, list) else 0):
            yield from self._check_value(location, schema, ("examples", index), EXAMPLE_DOES_NOT_FIT)
        stated = {"type": schema["type"]} if "type" in schema else {}
        for index in range(len(options) if isinstance(options, list) else 0):
            yield from self._check_value(location, stated, ("enum", index), VALUE_DOES_NOT_FIT)
        if "const" in schema:
            yield from self._check_value(location, stated, ("const",), VALUE_DOES_NOT_FIT)

    def _check_value(self, location: Location, schema: Schema, place: Pointer, rule: Rule) -> Iterator[SpecProblem]:
        value = self.library.value_at(Location(location.file, (*location.pointer, *place)))
        for pointer, message in self.fitting.misfits(dict(schema), location.file, value):
            yield self._problem(location, (*place, *pointer), rule, f"does not fit its own schema: {message}")

    def _check_branches(self, location: Location, branches: list[JsonValue]) -> Iterator[SpecProblem]:
        alternatives = [self._alternatives(branch, location.file) for branch in branches]
        if _all_differ([one.options for alternative in alternatives for one in alternative]):
            return
        for (first, a), (second, b) in combinations(enumerate(alternatives), 2):
            if not all(self._exclude(one, other) for one, other in product(a, b)):
                message = (
                    f"branches {first} and {second} may both fit one value, and the model would not notice; give the "
                    "objects a required property with a different const in each branch, or use anyOf"
                )
                yield self._problem(location, ("oneOf", second), BRANCHES_OVERLAP, message)
                return

    def _alternatives(self, schema: JsonValue, file: str) -> list[_Alternative]:
        """The branches of a branch, one level deep; further down nothing is proven."""
        schema, file = follow(self.library, schema, file)
        branches = schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, dict) else None
        if not isinstance(branches, list):
            return [self._alternative(schema, file)]
        return [self._alternative(*follow(self.library, branch, file)) for branch in branches]

    def _alternative(self, schema: JsonValue, file: str) -> _Alternative:
        if not isinstance(schema, dict):
            return _Alternative(frozenset(TYPES), None, {}, None)
        properties, required = schema.get("properties"), schema.get("required")
        stated = properties.items() if isinstance(properties, dict) else ()
        always = required if isinstance(required, list) else []
        tags = {name: _options(follow(self.library, tag, file)[0]) for name, tag in stated if name in always}
        closed = frozenset(name for name, _ in stated) if schema.get("additionalProperties") is False else None
        return _Alternative(_kinds(schema), _options(schema), tags, closed)

    def _exclude(self, one: _Alternative, other: _Alternative) -> bool:
        """Whether it is plain that no value fits both."""
        self.comparisons += 1
        if self.comparisons > _MOST_COMPARISONS:
            return False
        common = one.kinds & other.kinds
        if not common or _all_differ([one.options, other.options]):
            return True
        return common == {"object"} and (
            _refuses(one, other)
            or _refuses(other, one)
            or any(_all_differ([tag, other.tags[name]]) for name, tag in one.tags.items() if name in other.tags)
        )

    def _problem(self, location: Location, below: Pointer, rule: Rule, message: str) -> SpecProblem:
        return self.library.documents[location.file].problem((*location.pointer, *below), rule, message)


def _refuses(one: _Alternative, other: _Alternative) -> bool:
    """Whether one allows no property of a name that the other always has."""
    return one.closed is not None and not other.tags.keys() <= one.closed


def _kinds(schema: Schema) -> frozenset[str]:
    """The types of values that may fit; each number counts as `number`."""
    options = _values(schema)
    kinds: Iterable[str] = types_of(schema) if "type" in schema else TYPES
    if options is not None:
        kinds = map(kind_of, options)
    return frozenset("number" if kind == "integer" else kind for kind in kinds)


def _values(schema: Schema) -> list[JsonValue] | None:
    if "const" in schema:
        return [schema["const"]]
    options = schema.get("enum")
    return options if isinstance(options, list) else None


def _options(schema: JsonValue) -> frozenset[str] | None:
    """The only values that fit, as canonical text; None unless the schema lists them."""
    values = _values(schema) if isinstance(schema, dict) else None
    return None if values is None else frozenset(canonical(value) for value in values)


def _all_differ(choices: list[frozenset[str] | None]) -> bool:
    """Whether all are known, and no value is in two of them."""
    known = [choice for choice in choices if choice is not None]
    return len(known) == len(choices) and len(frozenset[str]().union(*known)) == sum(map(len, known))
