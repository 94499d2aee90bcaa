"""What a schema says that can only be judged together with others: references, and the values a spec gives itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from ..problems.problem import SpecProblem, did_you_mean, shown
from ..problems.rule import Rule
from ..problems.spec_rules import (
    ALLOWS_NOTHING,
    DEFAULT_DOES_NOT_FIT,
    EXAMPLE_DOES_NOT_FIT,
    KEYWORD_VALUE,
    VALUE_DOES_NOT_FIT,
)
from ..read.document import Pointer
from ..read.library import Library, Location, UnresolvedReferenceError
from ..read.nearest_schema import NearestSchema
from .discriminator import discriminator_problems
from .instance import Fitting
from .schema_lint import Schema


@dataclass(slots=True)
class MeaningLint:
    """Checks the schemas of a library against each other."""

    library: Library
    fitting: Fitting
    nearest_schema: NearestSchema = field(init=False)

    def __post_init__(self) -> None:
        self.nearest_schema = NearestSchema(self.library)

    def check(self, location: Location) -> Iterator[SpecProblem]:
        """Every problem of the schema at a location, those of schemas inside it aside."""
        schema = self.library.value_at(location)
        if not isinstance(schema, dict):
            return
        yield from self._check_reference(location, schema)
        yield from self._check_own_values(location, schema)
        yield from self._check_names(location, schema)
        for place, message in discriminator_problems(self.library, location, schema):
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
        beside = {key: value for key, value in schema.items() if key != "enum"}
        for index in range(len(options) if isinstance(options, list) else 0):
            yield from self._check_value(location, beside, ("enum", index), VALUE_DOES_NOT_FIT)
        if "const" in schema:
            beside = {key: value for key, value in schema.items() if key != "const"}
            yield from self._check_value(location, beside, ("const",), VALUE_DOES_NOT_FIT)

    def _check_names(self, location: Location, schema: Schema) -> Iterator[SpecProblem]:
        """Properties that no object can have, as `propertyNames` refuses their names."""
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
