"""Whether a JSON value fits a schema of a spec: the same answer as the generated model's, found without running it.

Schemas that are wrong themselves are read as generously as possible: their own problem is reported elsewhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.formats import FORMATS
from server_jobs.model import is_exact
from server_jobs.schemas.patterns import PatternError, matches, size_of, translate

from .document import Pointer
from .library import Library, UnresolvedReferenceError
from .problems import listed, shown
from .schema_lint import Schema, types_of

MOST_REFERENCES = 64

_MOST_STEPS = 100_000
_DEEPEST = 128
# About what is read of a text, and of it times the size of a pattern, in the time of one step.
_TEXT_PER_STEP = 100
_MATCHING_PER_STEP = 1_000
_WORDS = {"null": "null", "boolean": "true or false", "array": "a list", "object": "an object", "string": "a string"}

_BOUNDS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.lt, "is below"),
    "maximum": (operator.gt, "is above"),
    "exclusiveMinimum": (operator.le, "is not above"),
    "exclusiveMaximum": (operator.ge, "is not below"),
    "multipleOf": (lambda value, divisor: not _is_multiple(value, divisor), "is not a multiple of"),
}

Misfit = tuple[Pointer, str]


class _Options:
    """The values that an enum lists; of a valid one, no value is an object or a list."""

    def __init__(self, values: list[JsonValue]) -> None:
        # Kept, so that no other list can get its identity.
        self.values = values
        self.words = listed(shown(value) for value in values[:20])
        # `1`, `1.0` and `true` are equal in Python, but not in JSON.
        self._known = {(type(value), value) for value in values if not isinstance(value, list | dict)}

    def __contains__(self, value: JsonValue) -> bool:
        return not isinstance(value, list | dict) and (type(value), value) in self._known


@dataclass(slots=True)
class Fitting:
    """Compares values with the schemas of one library, in a number of steps that is bounded for each file."""

    library: Library
    steps: int = 0
    depth: int = 0
    enums: dict[int, _Options] = field(default_factory=dict[int, "_Options"])

    def start_file(self) -> None:
        """Allow as many steps as one file may take."""
        self.steps = 0

    def misfits(self, schema: JsonValue, file: str, value: JsonValue) -> list[Misfit]:
        """Where and why the value does not fit a schema that stands in `file`."""
        self.depth = 0
        misfits = list(self._misfits(schema, file, value, ()))
        if self.steps > _MOST_STEPS:
            return [((), "takes too long to check against its schema; make the schema or the value simpler")]
        return misfits

    def _misfits(self, schema: JsonValue, file: str, value: JsonValue, at: Pointer) -> Iterator[Misfit]:
        self.steps += 1
        if self.depth > _DEEPEST:
            yield at, "is nested too deep to be checked against its schema"
        if self.steps > _MOST_STEPS or self.depth > _DEEPEST:
            return
        self.depth += 1
        yield from self._misfits_of_one(*follow(self.library, schema, file), value, at)
        self.depth -= 1

    def _misfits_of_one(self, schema: JsonValue, file: str, value: JsonValue, at: Pointer) -> Iterator[Misfit]:
        if schema is False:
            yield at, "is not allowed here"
        if not isinstance(schema, dict):
            return
        branches = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(branches, list):
            if all(list(self._misfits(branch, file, value, at)) for branch in branches):
                yield at, f"fits none of the {len(branches)} branches, being {shown(value)}"
        elif "const" in schema:
            yield from _outside(_Options([schema["const"]]), value, at)
        elif isinstance(options := schema.get("enum"), list) and options:
            yield from _outside(self._options(options), value, at)
        if kinds := types_of(schema):
            yield from self._misfits_of_types(kinds, schema, file, value, at)

    def _options(self, values: list[JsonValue]) -> _Options:
        """The same for the same list: it is read once, however many values are compared with it."""
        if id(values) not in self.enums:
            self.steps += len(values)
            self.enums[id(values)] = _Options(values)
        return self.enums[id(values)]

    def _misfits_of_types(
        self, kinds: tuple[str, ...], schema: Schema, file: str, value: JsonValue, at: Pointer
    ) -> Iterator[Misfit]:
        kind = kind_of(value)
        if kind not in kinds and not (kind == "integer" and "number" in kinds):
            yield at, f"must be {listed(_worded(name) for name in kinds)}, not {shown(value)}"
            return
        match value:
            case str():
                self.steps += _steps_of_text(schema, value)
                if self.steps <= _MOST_STEPS:
                    yield from _misfits_of_text(schema, value, at)
            case bool() | None:
                pass
            case int() | float():
                yield from _misfits_of_number(schema, value, at)
            case list():
                yield from self._misfits_of_array(schema, file, value, at)
            case dict():
                yield from self._misfits_of_object(schema, file, value, at)

    def _misfits_of_array(self, schema: Schema, file: str, value: list[JsonValue], at: Pointer) -> Iterator[Misfit]:
        yield from _outside_counts(schema, "minItems", "maxItems", len(value), "items", at)
        prefix = schema.get("prefixItems")
        prefix = prefix if isinstance(prefix, list) else []
        for index, item in enumerate(value):
            item_schema = prefix[index] if index < len(prefix) else schema.get("items", True)
            yield from self._misfits(item_schema, file, item, (*at, index))

    def _misfits_of_object(
        self, schema: Schema, file: str, value: dict[str, JsonValue], at: Pointer
    ) -> Iterator[Misfit]:
        yield from _outside_counts(schema, "minProperties", "maxProperties", len(value), "properties", at)
        required, properties = schema.get("required"), schema.get("properties")
        for name in required if isinstance(required, list) else []:
            if isinstance(name, str) and name not in value:
                yield at, f"lacks the property {shown(name)}"
        properties = properties if isinstance(properties, dict) else {}
        for name, item in value.items():
            if name in properties:
                yield from self._misfits(properties[name], file, item, (*at, name))
            elif schema.get("additionalProperties") is False:
                yield (*at, name), f"{shown(name)} is not a property"
            else:
                yield from self._misfits(schema.get("additionalProperties", True), file, item, (*at, name))


def follow(library: Library, schema: JsonValue, file: str) -> tuple[JsonValue, str]:
    """The schema behind any chain of `$ref`, and its file; an empty one where the chain leads nowhere or never ends."""
    for _ in range(MOST_REFERENCES):
        if not isinstance(schema, dict) or not isinstance(reference := schema.get("$ref"), str):
            return schema, file
        try:
            target = library.resolve(reference, file)
        except UnresolvedReferenceError:
            return {}, file
        schema, file = library.value_at(target), target.file
    return {}, file


def kind_of(value: JsonValue) -> str:
    """The JSON Schema type of a value; a number written with a fraction or an exponent is never an integer here."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"


def _worded(kind: str) -> str:
    return _WORDS.get(kind, "a number" if kind == "number" else "a whole number (written without '.' or 'e')")


def _outside(options: _Options, value: JsonValue, at: Pointer) -> Iterator[Misfit]:
    if value not in options:
        yield at, f"must be {options.words}, not {shown(value)}"


def _is_multiple(value: float, divisor: float) -> bool:
    are_valid = isinstance(value, int) and isinstance(divisor, int) and divisor > 0
    return not are_valid or value % divisor == 0


def _outside_counts(
    schema: Schema, lowest: str, highest: str, count: int, things: str, at: Pointer
) -> Iterator[Misfit]:
    low, high = schema.get(lowest), schema.get(highest)
    if isinstance(low, int) and count < low:
        yield at, f"has {count} {things}, fewer than {lowest} {low}"
    if isinstance(high, int) and count > high:
        yield at, f"has {count} {things}, more than {highest} {high}"


def _steps_of_text(schema: Schema, value: str) -> int:
    pattern = schema.get("pattern")
    try:
        size = size_of(pattern) if isinstance(pattern, str) else 0
    except PatternError:
        size = 0
    return len(value) // _TEXT_PER_STEP + len(value) * size // _MATCHING_PER_STEP


def _misfits_of_text(schema: Schema, value: str, at: Pointer) -> Iterator[Misfit]:
    yield from _outside_counts(schema, "minLength", "maxLength", len(value), "characters", at)
    format_name, pattern = schema.get("format"), schema.get("pattern")
    if isinstance(format_name, str) and format_name in FORMATS and not FORMATS[format_name](value):
        yield at, f"{shown(value)} is not of the format {format_name}"
    if isinstance(pattern, str) and not _matches(pattern, value):
        yield at, f"{shown(value)} does not match the pattern {shown(pattern)}"


def _matches(pattern: str, value: str) -> bool:
    try:
        return matches(translate(pattern), value)
    except PatternError:
        return True


def _misfits_of_number(schema: Schema, value: float, at: Pointer) -> Iterator[Misfit]:
    if "number" in types_of(schema) and not is_exact(value):
        yield at, f"{shown(value)} is not exact as a double-precision number"
    for keyword, (misses, words) in _BOUNDS.items():
        bound = schema.get(keyword)
        if isinstance(bound, int | float) and misses(value, bound):
            yield at, f"{shown(value)} {words} {keyword} {shown(bound)}"
