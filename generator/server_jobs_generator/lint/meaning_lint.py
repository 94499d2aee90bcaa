"""Checks of schemas against each other: references, circles, and defaults, examples and constants.

The cost of a schema is the number of schemas that one value is checked against, before its parts. Schemas that apply to
the same value must not form a circle or multiply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Compiler
from server_jobs.contract.schemas.run import CheckTooLongError, Run, Violation

from ..problems.problem import did_you_mean, shown
from ..problems.rules import (
    ALLOWS_NOTHING,
    DEFAULT_DOES_NOT_FIT,
    EXAMPLE_DOES_NOT_FIT,
    VALUE_DOES_NOT_FIT,
    Rule,
)
from ..read.document import Pointer
from ..read.keywords import ANNOTATIONS, OTHER_ANNOTATIONS, Schema
from ..read.library import Library, Location, NearestSchema, UnresolvedReferenceError

_MOST_REFERENCES = 64

_MOST_STEPS = 100_000

Finding = tuple[Pointer, Rule, str]
"""A pointer, the rule that is broken there, and the message."""

_PLAIN = ANNOTATIONS | OTHER_ANNOTATIONS | {"$ref", "$id", "$anchor"}
"""The keywords of a plain reference."""


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
    """Follow references until a schema has no `$ref`, or more than annotations beside it. Return it with its file.

    If a reference has no target, return an empty schema.
    """
    for _ in range(_MOST_REFERENCES):
        if not isinstance(schema, dict) or not schema.keys() <= _PLAIN:
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
    """Checks what the syntax of a schema does not show: that references have a target, and that defaults and examples
    fit.
    """

    library: Library
    fitting: Fitting
    nearest_schema: NearestSchema = field(init=False)

    def __post_init__(self) -> None:
        self.nearest_schema = NearestSchema(self.library)

    def check(self, location: Location) -> Iterator[Finding]:
        """Yield every problem of the schema at a location, except problems of schemas inside it.

        Remove a default that does not fit, so that no later stage fills it in.
        """
        schema = self.library.value_at(location)
        if not isinstance(schema, dict):
            return
        found = chain(
            self._check_reference(location, schema),
            self._check_own_values(location, schema),
            self._check_names(location, schema),
        )
        for place, rule, message in found:
            yield (*location.pointer, *place), rule, message
            if rule is DEFAULT_DOES_NOT_FIT:
                schema.pop("default", None)

    def _check_reference(self, location: Location, schema: Schema) -> Iterator[Finding]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return
        try:
            self.library.resolve(reference, location.file)
        except UnresolvedReferenceError as error:
            meant = did_you_mean(self.nearest_schema.to(reference, location.file))
            yield ("$ref",), error.rule, f"{shown(reference)} {error}{meant}"

    def _check_own_values(self, location: Location, schema: dict[str, JsonValue]) -> Iterator[Finding]:
        if "default" in schema:
            for found in self._check_value(location, schema, ("default",), DEFAULT_DOES_NOT_FIT):
                yield found
                break
        examples, options = schema.get("examples"), schema.get("enum")
        for index in range(len(examples) if isinstance(examples, list) else 0):
            yield from self._check_value(location, schema, ("examples", index), EXAMPLE_DOES_NOT_FIT)
        if isinstance(options, list):
            yield from self._check_options(location, schema, options)
        if "const" in schema:
            others = {key: value for key, value in schema.items() if key != "const"}
            yield from self._check_value(location, others, ("const",), ALLOWS_NOTHING)

    def _check_options(self, location: Location, schema: Schema, options: list[JsonValue]) -> Iterator[Finding]:
        """Yield the values of `enum` that no value can be. They are an error if no value is left."""
        others = {key: value for key, value in schema.items() if key != "enum"}
        found = [
            list(self._check_value(location, others, ("enum", index), VALUE_DOES_NOT_FIT))
            for index in range(len(options))
        ]
        is_empty = bool(found) and all(found)
        for place, rule, message in chain.from_iterable(found):
            yield place, ALLOWS_NOTHING if is_empty else rule, message

    def _check_names(self, location: Location, schema: Schema) -> Iterator[Finding]:
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
                yield place, ALLOWS_NOTHING, f"propertyNames refuses {shown(name)}: {message}"

    def _check_value(self, location: Location, schema: JsonValue, place: Pointer, rule: Rule) -> Iterator[Finding]:
        value = self.library.value_at(Location(location.file, (*location.pointer, *place)))
        for pointer, message in self.fitting.violations(schema, location.file, value):
            yield (*place, *pointer), rule, f"does not fit its own schema: {message}"
