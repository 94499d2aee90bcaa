"""The keywords and values of schemas in specs. A schema that passes here and in `meaning_lint` is enforced."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

from pydantic import JsonValue
from server_jobs.contract.schemas.assertions import counted_matcher
from server_jobs.contract.schemas.json_equality import exact, is_finite, key_of
from server_jobs.contract.schemas.patterns import MAX_SIZE, LargePatternError, PatternError, size_of, translate
from server_jobs.contract.schemas.run import CheckTooLongError, Run

from ..problems.problem import Suggestions, did_you_mean, listed, nearest, shown
from ..problems.rules import (
    ALLOWS_NOTHING,
    DIALECT_UNKNOWN,
    EXTRA_NOT_STATED,
    ITEMS_MISSING,
    KEYWORD_IGNORED,
    KEYWORD_REFUSED,
    KEYWORD_VALUE,
    NAME_NOT_USABLE,
    NAME_TAKEN,
    NOT_A_SCHEMA,
    PATTERN_REFUSED,
    REQUIRED_UNKNOWN,
    TOO_LARGE,
    TYPE_MISSING,
    UNKNOWN_KEYWORD,
    UNKNOWN_TYPE,
    Mistake,
    Rule,
)
from ..python.names import folded, property_name, stated_names
from ..read.dialects import DIALECTS, draft_of
from ..read.document import Document, Pointer
from ..read.file_report import FileReport
from ..read.keywords import (
    ADVICE,
    BY_TYPE,
    DEFINITIONS,
    IN_PLACE,
    ONE_SCHEMA,
    PYTHON_NAME,
    SCHEMA_LIST,
    SCHEMA_MAP,
    STATES_VALUES,
    TYPES,
    TYPES_ELSEWHERE,
    Schema,
    types_of,
    value_problem,
)
from .idle_keywords import idle_keywords, misspelled

MAX_BRANCHES = 1_000
MAX_ENUM = 10_000
MAX_PATTERN_SIZE = 100_000
_MOST_STEPS = 100_000

_PARTIAL = IN_PLACE.union({"contains", "propertyNames"}) - {"anyOf", "oneOf"}
_UNEVALUATED = frozenset({"unevaluatedItems", "unevaluatedProperties"})
_WITH_SCHEMAS = ONE_SCHEMA | SCHEMA_LIST | SCHEMA_MAP
_BRANCHES = frozenset({"anyOf", "oneOf"})
_STATES_ITEMS = frozenset({"items", "prefixItems", "unevaluatedItems", "const", "enum"})
_STATES_EXTRAS = frozenset({"additionalProperties", "unevaluatedProperties", "const", "enum"})

_Contradiction = tuple[str, str]
"""The keyword, and the message."""

_OVERRIDE = f'"{PYTHON_NAME}": "other_name"'
_COUNTS = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"))


@dataclass(slots=True)
class SchemaLint:
    """Checks the schemas of one document, and collects the problems and the place of every schema.

    `formats` are the formats with a custom type.

    `is_partial` marks a schema that only adds to another one, `is_watched` one with `unevaluatedItems` or
    `unevaluatedProperties` around it, and `is_published` one of a whole that states its own dialect. Raises
    `TooManyProblemsError` at the two hundredth error.
    """

    document: Document
    formats: Collection[str] = ()
    is_partial: bool = False
    is_watched: bool = False
    is_published: bool = False
    report: FileReport = field(init=False)
    schemas: list[Pointer] = field(default_factory=list[Pointer])
    pattern_size: int = 0
    suggestions: Suggestions = field(default_factory=Suggestions)
    run: Run = field(default_factory=lambda: Run(_MOST_STEPS))

    def __post_init__(self) -> None:
        self.report = FileReport(self.document)

    def check(self, pointer: Pointer, value: JsonValue) -> None:
        """Check the schema at a pointer and every schema below it."""
        if isinstance(value, bool):
            self.schemas.append(pointer)
        elif not isinstance(value, dict):
            message = f"must be a schema (an object, or true for any value), not {shown(value)}"
            as_type = f'; write {{"type": {shown(value)}}}' if value in TYPES else ""
            self.note(pointer, NOT_A_SCHEMA, message + as_type)
        else:
            self.schemas.append(pointer)
            self._check_schema(pointer, value, is_partial=self.is_partial)

    def check_elsewhere(self) -> None:
        """Check the schemas under unknown keywords that references lead to."""
        for pointer in self.document.elsewhere:
            self.check(pointer, self.document.value_at(pointer))

    def note(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> None:
        """Add an error or a warning."""
        self.report.add(pointer, rule, message, at_key=at_key)

    def _check_schema(self, pointer: Pointer, schema: Schema, *, is_partial: bool) -> None:
        types = types_of(schema)
        outer = self.is_watched, self.is_published
        self.is_watched = self.is_watched or bool(schema.keys() & _UNEVALUATED)
        self.is_published = self.is_published or "$schema" in schema
        if schema and not (is_partial or schema.keys() & (STATES_VALUES | DEFINITIONS | ADVICE.keys())):
            self.note(pointer, TYPE_MISSING, _how_to_state_a_type(schema))
        idle = dict(idle_keywords(schema, self.formats))
        for key, value in schema.items():
            self._check_keyword((*pointer, key), key, value, idle, is_partial=is_partial or "type" in schema)
        self._check_together(pointer, schema, types, is_partial=is_partial)
        self.is_watched, self.is_published = outer

    def _check_keyword(
        self,
        pointer: Pointer,
        key: str,
        value: JsonValue,
        idle: Mapping[str, Mistake | None],
        *,
        is_partial: bool,
    ) -> None:
        # A partial schema need not repeat the type.
        outer = self.is_partial
        self.is_partial = self.is_partial or key in _PARTIAL or (key in _BRANCHES and is_partial)
        if key in ADVICE:
            self.note(pointer, KEYWORD_REFUSED, f"{key} is not accepted: {ADVICE[key]}", at_key=True)
        elif key in idle and key not in _WITH_SCHEMAS:
            pass
        elif key in _CHECKS:
            _CHECKS[key](self, pointer, value)
        elif key == "items" and isinstance(value, list):
            message = "must be one schema, for all items; a list with one for each of the first is prefixItems"
            self.note(pointer, KEYWORD_VALUE, message)
        elif key in ONE_SCHEMA:
            self.check(pointer, value)
        elif key in SCHEMA_LIST:
            self.check_list(pointer, value)
        elif key in SCHEMA_MAP:
            self.check_named(pointer, value)
        elif mistake := value_problem(key, value):
            self.note(pointer, *mistake)
        if key in idle:
            self._check_idle(pointer, key, value, idle[key])
        self.is_partial = outer

    def _check_idle(self, pointer: Pointer, key: str, value: JsonValue, warning: Mistake | None) -> None:
        if (known := misspelled(key, value)) is not None:
            # Nobody can correct a public schema, and its other readers ignore the keyword too.
            rule, effect = (KEYWORD_IGNORED, ", and has no effect") if self.is_published else (UNKNOWN_KEYWORD, "")
            message = f"{shown(key)} is not a keyword of JSON Schema{effect}{did_you_mean(known)}"
            self.note(pointer, rule, message, at_key=True)
        # A keyword that references lead into is used.
        elif warning is not None and not any(pointer == place[: len(pointer)] for place in self.document.elsewhere):
            self.note(pointer, *warning, at_key=warning[0] is KEYWORD_IGNORED)

    def _check_together(self, pointer: Pointer, schema: Schema, types: tuple[str, ...], *, is_partial: bool) -> None:
        """Check combinations of keywords."""
        for key, message in contradictions(schema, types):
            self.note((*pointer, key), ALLOWS_NOTHING, message)
        if "if" in schema and not (schema.keys() & {"then", "else"} or self.is_watched):
            self.note((*pointer, "if"), KEYWORD_IGNORED, "if has no effect without then or else", at_key=True)
        if "object" in types:
            self._check_object(pointer, schema, is_partial=is_partial)
        if "array" in types and not is_partial and not schema.keys() & _STATES_ITEMS:
            message = "an array must state items: the schema of each item, or true for any value"
            self.note(pointer, ITEMS_MISSING, message)

    def _check_object(self, pointer: Pointer, schema: Schema, *, is_partial: bool) -> None:
        builds_on_others = "properties" not in schema and schema.keys() & {"$ref", "allOf", "anyOf", "oneOf"}
        if not (is_partial or builds_on_others or schema.keys() & _STATES_EXTRAS):
            message = "must state additionalProperties: false to refuse properties that are not listed, or true"
            self.note(pointer, EXTRA_NOT_STATED, f"an object {message}")
        properties, required = schema.get("properties", {}), schema.get("required")
        if not isinstance(required, list) or not isinstance(properties, dict):
            return
        for index, name in enumerate(required):
            if isinstance(name, str) and name not in properties:
                self._check_unknown((*pointer, "required", index), name, schema, properties)

    def _check_unknown(self, pointer: Pointer, name: str, schema: Schema, properties: Mapping[str, JsonValue]) -> None:
        """Check a required property that is not described: a misspelled name, or a property that cannot exist."""
        meant = self.suggestions.nearest_of(name, properties)
        with suppress(CheckTooLongError):
            if forbids(schema, name, self.run):
                message = f"requires {shown(name)}, which additionalProperties forbids: nothing is allowed"
                self.note(pointer, ALLOWS_NOTHING, message + did_you_mean(meant))
            elif meant is not None and not schema.get("patternProperties"):
                self.note(pointer, REQUIRED_UNKNOWN, f"{shown(name)} is not in properties{did_you_mean(meant)}")

    def check_type(self, pointer: Pointer, value: JsonValue) -> None:
        if isinstance(value, str) and value in TYPES:
            return
        names = value if isinstance(value, list) else [value]
        if not names or len({shown(name) for name in names}) != len(names):
            self.note(pointer, KEYWORD_IGNORED if names else KEYWORD_VALUE, "must list different types, at least one")
        for index, name in enumerate(names):
            place = (*pointer, index) if isinstance(value, list) else pointer
            if name not in TYPES:
                self.note(place, UNKNOWN_TYPE, f"{shown(name)} is not a JSON Schema type{_type_meant(name)}")

    def check_list(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_BRANCHES:
            self.note(pointer, KEYWORD_VALUE, f"must be a list of 1 to {MAX_BRANCHES} schemas")
        for index, branch in enumerate(value if isinstance(value, list) else []):
            self.check((*pointer, index), branch)

    def check_named(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, dict):
            self.note(pointer, KEYWORD_VALUE, f"must be an object of named schemas, not {shown(value)}")
            return
        for name, schema in value.items():
            self.check((*pointer, name), schema)

    def check_patterns(self, pointer: Pointer, value: JsonValue) -> None:
        for pattern in value if isinstance(value, dict) else ():
            self.check_pattern((*pointer, pattern), pattern)
        self.check_named(pointer, value)

    def check_dependent_required(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, dict):
            self.note(pointer, KEYWORD_VALUE, f"must be an object of lists of property names, not {shown(value)}")
            return
        for name, needed in value.items():
            self.check_required((*pointer, name), needed)

    def check_properties(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, dict):
            self.note(pointer, KEYWORD_VALUE, f"must be an object of named schemas, not {shown(value)}")
            return
        first_with: dict[str, str] = {}
        python = stated_names(value)
        for name, schema in value.items():
            self.check((*pointer, name), schema)
            python_name = python.get(name)
            if python_name is None:
                message = f"gives no name for Python; state one: {_OVERRIDE}"
                self.note((*pointer, name), NAME_NOT_USABLE, f"the property {shown(name)} {message}", at_key=True)
            elif (other := first_with.setdefault(folded(python_name), name)) == name:
                continue
            # Nobody can rename the properties of a public schema; they get numbers. Names that it states are kept.
            elif not self.is_published or (_states_a_name(schema) and _states_a_name(value[other])):
                is_same = python[other] == python_name
                how = f"are both {python_name} in Python" if is_same else "are the same name, written in two ways"
                message = f"{shown(name)} and {shown(other)} {how}; give one of them another name there: {_OVERRIDE}"
                self.note((*pointer, name), NAME_TAKEN, message, at_key=True)

    def check_python_name(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, str) or property_name(value) != value:
            message = f"must be a name in Python such as plus_one, not {shown(value)}"
            self.note(pointer, NAME_NOT_USABLE, message)

    def check_dialect(self, pointer: Pointer, value: JsonValue) -> None:
        try:
            draft_of(value)
        except KeyError:
            known = listed(map(shown, sorted(DIALECTS)))
            self.note(pointer, DIALECT_UNKNOWN, f"must be {known}, not {shown(value)}")

    def check_required(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list):
            self.note(pointer, KEYWORD_VALUE, f"must be a list of property names, not {shown(value)}")
            return
        seen: set[str] = set()
        for index, name in enumerate(value):
            if not isinstance(name, str):
                message = f"must be the name of a property, not {shown(name)}"
                self.note((*pointer, index), KEYWORD_VALUE, message)
            elif name in seen:
                self.note((*pointer, index), KEYWORD_IGNORED, f"{shown(name)} is listed twice")
            else:
                seen.add(name)

    def check_enum(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list) or not value:
            self.note(
                pointer,
                KEYWORD_VALUE,
                f"must be a list of values, at least one, not {shown(value)}{_list_meant(value)}",
            )
            return
        if len(value) > MAX_ENUM:
            message = f"has more than {MAX_ENUM:,} values; use pattern, or check the value in the handler"
            self.note(pointer, TOO_LARGE, message)
        seen: set[Hashable] = set()
        for index, item in enumerate(value):
            key = key_of(item)
            if key in seen:
                self.note((*pointer, index), KEYWORD_IGNORED, f"{shown(item)} is listed twice")
            seen.add(key)

    def check_pattern(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, str):
            self.note(pointer, KEYWORD_VALUE, f"must be a regular expression, not {shown(value)}")
            return
        try:
            self._add_pattern(value)
        except PatternError as error:
            rule = TOO_LARGE if isinstance(error, LargePatternError) else PATTERN_REFUSED
            self.note(pointer, rule, f"the pattern {shown(value)} {error}")

    def _add_pattern(self, pattern: str) -> None:
        self.pattern_size += min(size_of(pattern), MAX_SIZE)
        if self.pattern_size > MAX_PATTERN_SIZE:
            raise LargePatternError("and those before it are too large together; make them simpler")
        translate(pattern)


_CHECKS: Mapping[str, Callable[[SchemaLint, Pointer, JsonValue], None]] = {
    "type": SchemaLint.check_type,
    "enum": SchemaLint.check_enum,
    "properties": SchemaLint.check_properties,
    "patternProperties": SchemaLint.check_patterns,
    "required": SchemaLint.check_required,
    "dependentRequired": SchemaLint.check_dependent_required,
    "pattern": SchemaLint.check_pattern,
    PYTHON_NAME: SchemaLint.check_python_name,
    "$schema": SchemaLint.check_dialect,
}


def _list_meant(value: JsonValue) -> str:
    """Return advice for values in one text, such as `a,b` or `a|b`."""
    parts = re.split(r"\s*[,|]\s*", value.strip()) if isinstance(value, str) else []
    return f"; write {json.dumps(parts, ensure_ascii=False)}" if any(parts) else ""


def _type_meant(name: JsonValue) -> str:
    word = "none" if name is None else name.lower() if isinstance(name, str) else ""
    if word in TYPES_ELSEWHERE:
        return f"; write {TYPES_ELSEWHERE[word]}"
    return nearest(word, TYPES) or f"; use {listed(TYPES)}"


def _states_a_name(schema: JsonValue) -> bool:
    return isinstance(schema, dict) and PYTHON_NAME in schema


def _how_to_state_a_type(schema: Schema) -> str:
    implied = next((name for name, keywords in BY_TYPE.items() if schema.keys() & keywords), None)
    if implied is not None:
        return f'a schema must state its type; add "type": {shown(implied)}'
    return "a schema must state its type, or use $ref, enum, const, anyOf or oneOf; true allows any value"


def contradictions(schema: Schema, types: tuple[str, ...]) -> Iterator[_Contradiction]:
    """Yield contradictions that leave no value of one of these types."""
    for lowest, highest in _COUNTS:
        low, high = _number(schema.get(lowest)), _number(schema.get(highest))
        if low is not None and high is not None and low > high:
            yield highest, f"{highest} {schema[highest]} is below {lowest} {schema[lowest]}: nothing is allowed"
    yield from _of_numbers(schema, is_whole="integer" in types and "number" not in types)
    if "array" in types:
        yield from _of_lists(schema)
    if "object" in types:
        yield from _of_objects(schema)


def forbids(schema: Schema, name: str, run: Run) -> bool:
    """Return whether the schema's own `additionalProperties` forbids a property of this name.

    Raises `CheckTooLongError` if the steps left in the run do not suffice.
    """
    properties, patterns = schema.get("properties"), schema.get("patternProperties")
    if schema.get("additionalProperties") is not False or (isinstance(properties, dict) and name in properties):
        return False
    return not any(_matches(pattern, name, run) for pattern in (patterns if isinstance(patterns, dict) else ()))


def _of_numbers(schema: Schema, *, is_whole: bool) -> Iterator[_Contradiction]:
    lows, highs = _bounds(schema, "minimum", "exclusiveMinimum"), _bounds(schema, "maximum", "exclusiveMaximum")
    if not lows or not highs:
        return
    (low, lowest), (high, highest) = max(lows, key=_tightness), min(highs, key=_looseness)
    first_said, last_said = f"{lowest} {schema[lowest]}", f"{highest} {schema[highest]}"
    if low > high:
        yield highest, f"{last_said} is below {first_said}: nothing is allowed"
    elif low == high and {lowest, highest} != {"minimum", "maximum"}:
        yield highest, f"{last_said} is not above {first_said}: nothing is allowed"
    elif (step := _step(schema, is_whole=is_whole)) is not None:
        first = ceil(low / step) + (lowest == "exclusiveMinimum" and low % step == 0)
        last = floor(high / step) - (highest == "exclusiveMaximum" and high % step == 0)
        if first > last:
            what = f"multiple of {schema['multipleOf']}" if "multipleOf" in schema else "whole number"
            yield highest, f"no {what} is between {first_said} and {last_said}: nothing is allowed"


def _bounds(schema: Schema, *keys: str) -> list[tuple[Fraction, str]]:
    stated = ((_number(schema.get(key)), key) for key in keys)
    return [(exact(value), key) for value, key in stated if value is not None and is_finite(value)]


def _tightness(bound: tuple[Fraction, str]) -> tuple[Fraction, bool]:
    # Of two equal bounds, the exclusive one is stricter.
    return bound[0], bound[1].startswith("exclusive")


def _looseness(bound: tuple[Fraction, str]) -> tuple[Fraction, bool]:
    return bound[0], not bound[1].startswith("exclusive")


def _step(schema: Schema, *, is_whole: bool) -> Fraction | None:
    """Return a number of which every valid number is a multiple."""
    divisor = _number(schema.get("multipleOf"))
    if divisor is None or divisor <= 0:
        return Fraction(1) if is_whole else None
    # A whole multiple of 3/2 is a multiple of 3.
    return Fraction(exact(divisor).numerator) if is_whole else exact(divisor)


def _of_lists(schema: Schema) -> Iterator[_Contradiction]:
    prefix, least, most = schema.get("prefixItems"), _number(schema.get("minItems")), _number(schema.get("maxItems"))
    length = len(prefix) if isinstance(prefix, list) else 0
    if schema.get("items") is False and least is not None and least > length:
        yield "minItems", f"minItems {schema['minItems']} is more than the {length} items that items: false allows"
    wanted = _number(schema.get("minContains", 1)) if "contains" in schema else None
    if wanted is not None and most is not None and wanted > most:
        yield "maxItems", f"maxItems {schema['maxItems']} is below the {wanted} items that contains asks for"


def _of_objects(schema: Schema) -> Iterator[_Contradiction]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    least, most = _number(schema.get("minProperties")), _number(schema.get("maxProperties"))
    if not isinstance(properties, dict) or not isinstance(required, list):
        return
    if most is not None and most < len(required):
        yield "maxProperties", f"maxProperties {schema['maxProperties']} is below the {len(required)} that are required"
    is_closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    if is_closed and least is not None and least > len(properties):
        message = f"minProperties {schema['minProperties']} is more than the {len(properties)} that there are"
        yield "minProperties", message


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _matches(pattern: str, name: str, run: Run) -> bool:
    run.count()
    try:
        return counted_matcher(pattern)(name, run)
    except PatternError:
        return True
