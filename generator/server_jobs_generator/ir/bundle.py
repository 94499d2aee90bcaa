"""Bundle a job's params and result into schemas that need no other file, with unique names for shared definitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydantic import JsonValue
from server_jobs.contract.json_schema import NO_RESULT, Schema

from ..lint.idle_keywords import effective
from ..lint.job_lint import PARAMS, RESULT
from ..lint.meaning_lint import follow
from ..problems.problem import SpecProblem
from ..problems.rules import REFERENCE_ENDLESS, TOO_DEEP, TOO_LARGE, Rule
from ..python.names import Names, pascal_case
from ..read.keywords import DEFINITIONS as KEYWORDS_OF_DEFINITIONS
from ..read.keywords import ONE_SCHEMA, SCHEMA_LIST, SCHEMA_MAP
from ..read.library import Library, Location
from .typed_form import DEFINITIONS, MAX_LEVELS, MAX_SCHEMAS, is_class, referenced_name, self_contained, typed_children
from .typed_schema import TypedSchemas

_STRUCTURE = ONE_SCHEMA | SCHEMA_LIST | SCHEMA_MAP
_DROPPED = KEYWORDS_OF_DEFINITIONS | {"$schema", "$comment", "$id", "$anchor"}
_NOTHING: Mapping[str, bool] = {}
NO_PARAMS: Schema = {"type": "object", "additionalProperties": False, "properties": {}}
_REFERS_TO_ITSELF = "refers to itself endlessly; recursion must lead through a property of an object"
_CONTAINS_ITSELF = (
    "a list, or an object without named properties, that contains itself is not supported: it would need a class; "
    "put it into a property of an object"
)


class BundleError(ValueError):
    """A spec whose references form a circle without a class, or reach too many schemas; `problem` has the place."""

    def __init__(self, problem: SpecProblem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True, slots=True)
class Bundle:
    """Two self-contained schemas, and the files (relative to `specs/`) that they come from.

    `places` has the origin of each shared definition.
    """

    params: Schema
    result: Schema
    files: tuple[str, ...]
    places: Mapping[str, Location]


def bundle(library: Library, file: str, formats: Collection[str] = ()) -> Bundle:
    """Bundle the spec in `file`, which has passed every other check. Raises `BundleError`.

    `formats` are the formats with a custom type.
    """
    bundler = _Bundler(library, formats)
    stated = [Location(file, pointer) for pointer in (PARAMS, RESULT)]
    without = (NO_PARAMS, NO_RESULT)
    parts = [
        bundler.part(place) if place in library.schemas else dict(schema)
        for place, schema in zip(stated, without, strict=True)
    ]
    bundler.add_definitions()
    if len(bundler.names) > MAX_SCHEMAS:
        message = f"references more than {MAX_SCHEMAS:,} definitions; split it up"
        raise BundleError(library.documents[file].problem((), TOO_LARGE, message))
    places = {name: location for location, name in bundler.names.items()}
    typed = TypedSchemas(bundler.definitions)
    for part, own in zip(parts, stated, strict=True):
        expansion = _Expansion(typed.definitions)
        try:
            expansion.walk(typed.part(part))
        except _EndlessError as error:
            place = places[expansion.where] if expansion.where else own
            problem = library.documents[place.file].problem(place.pointer, error.rule, str(error))
            raise BundleError(problem) from None
    files = tuple(sorted({file, *(location.file for location in bundler.names)}))
    params, result = (self_contained(part, bundler.definitions) for part in parts)
    return Bundle(params, result, files, places)


@dataclass(slots=True)
class _Bundler:
    library: Library
    formats: Collection[str] = ()
    names: dict[Location, str] = field(default_factory=dict[Location, str])
    definitions: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    _taken: Names = field(default_factory=Names)
    _pending: list[Location] = field(default_factory=list[Location])

    def part(self, location: Location) -> dict[str, JsonValue]:
        """Return the params or the result. A reference is resolved; keywords beside it are merged with its target."""
        stated = self.library.value_at(location)
        schema, file = follow(self.library, stated, location.file)
        copy = self._copied(schema, file)
        if copy is True:
            copy = {}
        if not isinstance(copy, dict):
            raise TypeError(f"{location} is not an object; the lint lets only objects pass")
        said = stated if schema is not stated and isinstance(stated, dict) else {}
        return {**copy, **{key: value for key, value in said.items() if key not in _DROPPED | {"$ref"}}}

    def add_definitions(self) -> None:
        """Copy referenced definitions, and the definitions that they reference, until nothing is missing."""
        while self._pending and len(self.names) <= MAX_SCHEMAS:
            location = self._pending.pop()
            self.definitions[self.names[location]] = self._copied(self.library.value_at(location), location.file)

    def _copied(self, schema: JsonValue, file: str) -> JsonValue:
        if not isinstance(schema, dict):
            return schema
        return {
            key: self._copied_member(key, value, file)
            for key, value in effective(schema, self.formats).items()
            if key not in _DROPPED
        }

    def _copied_member(self, key: str, value: JsonValue, file: str) -> JsonValue:
        if key == "$ref" and isinstance(value, str):
            return DEFINITIONS + self._name_of(self.library.resolve(value, file))
        if key in ONE_SCHEMA:
            return self._copied(value, file)
        if key in SCHEMA_LIST and isinstance(value, list):
            return [self._copied(branch, file) for branch in value]
        if key in SCHEMA_MAP and isinstance(value, dict):
            return {name: self._copied(schema, file) for name, schema in value.items()}
        return value

    def _name_of(self, location: Location) -> str:
        if location not in self.names:
            tokens = (PurePosixPath(location.file).stem, *location.pointer)
            words = [pascal_case(token) for token in tokens if isinstance(token, str) and token not in _STRUCTURE]
            self.names[location] = self._taken.take(next(filter(None, reversed(words)), "Definition"))
            self._pending.append(location)
        return self.names[location]


@dataclass(slots=True)
class _Expansion:
    """Walks through everything that the models are built of, to the same depth as building them."""

    definitions: Mapping[str, JsonValue]
    count: int = 0
    classes: set[int] = field(default_factory=set[int])
    where: str | None = None

    def walk(self, schema: JsonValue, level: int = 0, inlined: Mapping[str, bool] = _NOTHING) -> None:
        """Visit a schema. Raises `_EndlessError` if the walk does not end soon; its `where` names the current
        definition.

        A class is visited once, because it is built once. `inlined` are the definitions around this schema with no
        class in between; the value says whether a list or dict lies between.
        """
        if is_class(schema):
            if id(schema) in self.classes:
                return
            self.classes.add(id(schema))
        options = schema.get("enum") if isinstance(schema, dict) else None
        self.count += 1 + (len(options) // 4 if isinstance(options, list) else 0)
        if self.count > MAX_SCHEMAS:
            message = f"describes more than {MAX_SCHEMAS:,} schemas, references written out; split it up"
            raise _EndlessError(TOO_LARGE, message)
        if level > MAX_LEVELS:
            message = f"nests schemas more than {MAX_LEVELS} levels deep, references followed; make it flatter"
            raise _EndlessError(TOO_DEEP, message)
        name = referenced_name(schema)
        if name is None:
            inside = self._inside(schema, inlined)
            for child in typed_children(schema):
                self.walk(child, level + 1, inside)
        else:
            self._walk_definition(name, level + 1, inlined)

    @staticmethod
    def _inside(schema: JsonValue, inlined: Mapping[str, bool]) -> Mapping[str, bool]:
        if not isinstance(schema, dict) or is_class(schema):
            return _NOTHING
        return inlined if {"anyOf", "oneOf"} & schema.keys() else dict.fromkeys(inlined, True)

    def _walk_definition(self, name: str, level: int, inlined: Mapping[str, bool]) -> None:
        outer, self.where = self.where, name
        if name in inlined:
            raise _EndlessError(REFERENCE_ENDLESS, _CONTAINS_ITSELF if inlined[name] else _REFERS_TO_ITSELF)
        self.walk(self.definitions[name], level, {**inlined, name: False})
        self.where = outer


class _EndlessError(Exception):
    def __init__(self, rule: Rule, message: str) -> None:
        self.rule = rule
        super().__init__(message)
