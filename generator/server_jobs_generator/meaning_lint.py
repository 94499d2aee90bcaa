"""What a schema says that can only be judged together with others: references, and the values a spec gives itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .document import Pointer
from .instance import Fitting
from .library import Library, Location, UnresolvedReferenceError
from .nearest_schema import NearestSchema
from .problems import SpecProblem, did_you_mean, shown
from .rules import Rule
from .schema_lint import Schema
from .spec_rules import DEFAULT_DOES_NOT_FIT, EXAMPLE_DOES_NOT_FIT, VALUE_DOES_NOT_FIT


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

    def _check_reference(self, location: Location, schema: Schema) -> Iterator[SpecProblem]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return
        try:
            self.library.resolve(reference, location.file)
        except UnresolvedReferenceError as error:
            meant = did_you_mean(self.nearest_schema.to(reference, location.file))
            yield self._problem(location, ("$ref",), error.rule, f"{shown(reference)} {error}{meant}")

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

    def _problem(self, location: Location, below: Pointer, rule: Rule, message: str) -> SpecProblem:
        return self.library.documents[location.file].problem((*location.pointer, *below), rule, message)
