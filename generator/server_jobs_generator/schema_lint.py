"""What a schema in a spec may look like. Whatever passes here and in `meaning_lint`, the generated model enforces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.model import is_exact
from server_jobs.values import canonical

from .document import Document, Pointer
from .keyword_values import value_problem
from .keywords import ADVICE, ANNOTATIONS, BY_TYPE, FORMS, KNOWN, NUMBER_ADVICE, TYPES
from .names import property_name
from .patterns import MAX_SIZE, LargePatternError, PatternError, size_of, translate
from .problems import SpecProblem, listed, nearest, shown
from .rules import Mistake, Rule
from .spec_rules import (
    ALLOWS_NOTHING,
    BOUND_NOT_EXACT,
    DEFAULT_MISPLACED,
    EXTRA_NOT_STATED,
    ITEMS_MISSING,
    KEYWORD_MISPLACED,
    KEYWORD_REFUSED,
    KEYWORD_VALUE,
    LISTED_TWICE,
    NAME_NOT_USABLE,
    NAME_TAKEN,
    NOT_A_SCHEMA,
    PATTERN_REFUSED,
    REQUIRED_UNKNOWN,
    TOO_LARGE,
    TUPLE_OPEN,
    TYPE_MISSING,
    UNKNOWN_KEYWORD,
    UNKNOWN_TYPE,
    VENDOR_KEYWORD,
)

Schema = Mapping[str, JsonValue]

MAX_BRANCHES = 100
MAX_PROBLEMS = 200
MAX_ENUM = 1_000
MAX_PATTERN_SIZE = 100_000

_PARSED_FORMATS = ("date", "date-time", "uuid", "ipv4", "ipv6")
_RANGES = (
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
)
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class TooManyProblemsError(Exception):
    """A file has so many problems that looking for more would help nobody."""


@dataclass(slots=True)
class SchemaLint:
    """Checks the schemas of one document; collects the problems and the place of every schema.

    Raises `TooManyProblemsError` at the two hundredth problem.
    """

    document: Document
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    schemas: list[Pointer] = field(default_factory=list[Pointer])
    pattern_size: int = 0

    def check(self, pointer: Pointer, value: JsonValue, *, at_property: bool = False) -> None:
        """Check the schema at a place and everything below it."""
        if value is True:
            self.schemas.append(pointer)
        elif value is False:
            self.note(pointer, ALLOWS_NOTHING, "false allows nothing; leave this out instead")
        elif not isinstance(value, dict):
            message = f"must be a schema (an object, or true for any value), not {shown(value)}"
            self.note(pointer, NOT_A_SCHEMA, message)
        else:
            self.schemas.append(pointer)
            self._check_schema(pointer, value, at_property=at_property)

    def note(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> None:
        """Add a problem."""
        self.problems.append(self.document.problem(pointer, rule, message, at_key=at_key))
        if len(self.problems) >= MAX_PROBLEMS:
            raise TooManyProblemsError

    def _check_schema(self, pointer: Pointer, schema: Schema, *, at_property: bool) -> None:
        form = next((name for name in FORMS if name in schema), None)
        types = types_of(schema)
        allowed = FORMS[form] if form else frozenset({"type"}).union(*(BY_TYPE[name] for name in types))
        if form is None and "type" not in schema and not schema.keys() & ADVICE.keys():
            self.note(pointer, TYPE_MISSING, _how_to_state_a_type(schema))
        if form is None and not types:
            allowed = KNOWN
        for key, value in schema.items():
            if key in allowed or key in ANNOTATIONS:
                self._check_keyword((*pointer, key), key, value)
            elif not (key == "uniqueItems" and value is False):
                self.note((*pointer, key), *_why_refused(key, form, types), at_key=True)
        if "default" in schema and not at_property:
            message = "a default works only at a property; move it there"
            self.note((*pointer, "default"), DEFAULT_MISPLACED, message, at_key=True)
        if form is None:
            self._check_together(pointer, schema, types)

    def _check_keyword(self, pointer: Pointer, key: str, value: JsonValue) -> None:
        if key in _CHECKS:
            _CHECKS[key](self, pointer, value)
        elif mistake := value_problem(key, value):
            self.note(pointer, *mistake)

    def _check_together(self, pointer: Pointer, schema: Schema, types: Iterable[str]) -> None:
        """What a schema says by several keywords at once."""
        for lowest, highest in _RANGES:
            low, high = schema.get(lowest), schema.get(highest)
            if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                message = f"{highest} {high} is below {lowest} {low}: nothing is allowed"
                self.note((*pointer, highest), ALLOWS_NOTHING, message)
        if "integer" in types or "number" in types:
            self._check_bounds(pointer, schema, is_integer="integer" in types)
        if "string" in types and schema.get("format") in _PARSED_FORMATS:
            for key in sorted(schema.keys() & {"pattern", "minLength", "maxLength"}):
                message = f"the model would not enforce {key} beside this format"
                self.note((*pointer, key), KEYWORD_MISPLACED, message, at_key=True)
        if "object" in types:
            self._check_object(pointer, schema)
        if "array" in types:
            self._check_array(pointer, schema)

    def _check_bounds(self, pointer: Pointer, schema: Schema, *, is_integer: bool) -> None:
        for key in _BOUNDS:
            bound = schema.get(key)
            if is_integer and isinstance(bound, float) and not bound.is_integer():
                message = f"{key} of an integer must be a whole number, not {shown(bound)}"
                self.note((*pointer, key), BOUND_NOT_EXACT, message)
            if not is_integer and isinstance(bound, int) and not is_exact(bound):
                message = f"{shown(bound)} is not exact as a double-precision number; round it"
                self.note((*pointer, key), BOUND_NOT_EXACT, message)

    def _check_object(self, pointer: Pointer, schema: Schema) -> None:
        properties, required = schema.get("properties"), schema.get("required")
        if "additionalProperties" not in schema:
            message = "must state additionalProperties: false to refuse properties that are not listed, or true"
            self.note(pointer, EXTRA_NOT_STATED, f"an object {message}")
        if isinstance(required, list):
            known = properties if isinstance(properties, dict) else {}
            for index, name in enumerate(required):
                if isinstance(name, str) and name not in known:
                    message = f"{shown(name)} is not in properties{nearest(name, known)}"
                    self.note((*pointer, "required", index), REQUIRED_UNKNOWN, message)
        if properties or schema.get("additionalProperties") is False:
            for key in sorted(schema.keys() & {"minProperties", "maxProperties"}):
                message = "the model would not enforce it beside named properties; use required"
                self.note((*pointer, key), KEYWORD_MISPLACED, f"{key}: {message}", at_key=True)

    def _check_array(self, pointer: Pointer, schema: Schema) -> None:
        prefix = schema.get("prefixItems")
        if isinstance(prefix, list):
            length = len(prefix)
            if schema.get("items") is not False:
                message = 'an array with prefixItems must state "items": false: the model has no open end'
                self.note(pointer, TUPLE_OPEN, message)
            if schema.get("minItems") != length:
                message = f'an array with prefixItems must state "minItems": {length}: the model needs all of them'
                self.note(pointer, TUPLE_OPEN, message)
            if schema.get("maxItems", length) != length:
                message = f"must be {length}, the number of prefixItems, or be left out"
                self.note((*pointer, "maxItems"), TUPLE_OPEN, message)
        elif "items" not in schema:
            message = "an array must state items: the schema of each item, or true for any value"
            self.note(pointer, ITEMS_MISSING, message)
        elif schema["items"] is False:
            message = "false allows no items; describe them, or use prefixItems"
            self.note((*pointer, "items"), ALLOWS_NOTHING, message)

    def check_type(self, pointer: Pointer, value: JsonValue) -> None:
        names = value if isinstance(value, list) else [value]
        if not names or len({shown(name) for name in names}) != len(names):
            self.note(pointer, LISTED_TWICE if names else KEYWORD_VALUE, "must list different types, at least one")
        for index, name in enumerate(names):
            place = (*pointer, index) if isinstance(value, list) else pointer
            if name not in TYPES:
                known = nearest(name, TYPES) if isinstance(name, str) else ""
                message = f"{shown(name)} is not a JSON Schema type{known or f'; use {listed(TYPES)}'}"
                self.note(place, UNKNOWN_TYPE, message)

    def check_branches(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list) or not 2 <= len(value) <= MAX_BRANCHES:
            self.note(pointer, KEYWORD_VALUE, f"must be a list of 2 to {MAX_BRANCHES} schemas")
        for index, branch in enumerate(value if isinstance(value, list) else []):
            self.check((*pointer, index), branch)

    def check_prefix(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_BRANCHES:
            self.note(pointer, KEYWORD_VALUE, f"must be a list of 1 to {MAX_BRANCHES} schemas")
        for index, branch in enumerate(value if isinstance(value, list) else []):
            self.check((*pointer, index), branch)

    def check_schema_or_false(self, pointer: Pointer, value: JsonValue) -> None:
        if value is not False:
            self.check(pointer, value)

    def check_definitions(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, dict):
            self.note(pointer, KEYWORD_VALUE, f"must be an object of named schemas, not {shown(value)}")
            return
        for name, schema in value.items():
            self.check((*pointer, name), schema)

    def check_properties(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, dict):
            self.note(pointer, KEYWORD_VALUE, f"must be an object of named schemas, not {shown(value)}")
            return
        first_with: dict[str, str] = {}
        for name, schema in value.items():
            self.check((*pointer, name), schema, at_property=True)
            python_name = property_name(name)
            if python_name is None:
                message = "gives no name for Python; use a name with letters, digits and '_'"
                self.note((*pointer, name), NAME_NOT_USABLE, f"the property {shown(name)} {message}", at_key=True)
            elif first_with.setdefault(python_name, name) != name:
                other = shown(first_with[python_name])
                message = f"{shown(name)} and {other} are both {python_name} in Python; rename one of them"
                self.note((*pointer, name), NAME_TAKEN, message, at_key=True)

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
                self.note((*pointer, index), LISTED_TWICE, f"{shown(name)} is listed twice")
            else:
                seen.add(name)

    def check_enum(self, pointer: Pointer, value: JsonValue) -> None:
        if not isinstance(value, list) or not value:
            self.note(pointer, KEYWORD_VALUE, "must be a list of values, at least one")
            return
        if len(value) > MAX_ENUM:
            message = f"has more than {MAX_ENUM:,} values; use pattern, or check the value in the handler"
            self.note(pointer, TOO_LARGE, message)
        seen: set[str] = set()
        for index, item in enumerate(value):
            if mistake := value_problem("const", item):
                self.note((*pointer, index), *mistake)
            text = canonical(item)
            if text in seen:
                self.note((*pointer, index), LISTED_TWICE, f"{shown(item)} is listed twice")
            seen.add(text)

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
    "anyOf": SchemaLint.check_branches,
    "oneOf": SchemaLint.check_branches,
    "enum": SchemaLint.check_enum,
    "$defs": SchemaLint.check_definitions,
    "properties": SchemaLint.check_properties,
    "required": SchemaLint.check_required,
    "additionalProperties": SchemaLint.check_schema_or_false,
    "items": SchemaLint.check_schema_or_false,
    "prefixItems": SchemaLint.check_prefix,
    "pattern": SchemaLint.check_pattern,
}


def types_of(schema: Schema) -> tuple[str, ...]:
    """The known types a schema states, `integer` left out where `number` includes it."""
    stated = schema.get("type")
    if isinstance(stated, str):
        return (stated,) if stated in TYPES else ()
    names = stated if isinstance(stated, list) else [stated]
    return tuple(name for name in TYPES if name in names and not (name == "integer" and "number" in names))


def _how_to_state_a_type(schema: Schema) -> str:
    implied = next((name for name, keywords in BY_TYPE.items() if schema.keys() & keywords), None)
    if implied is not None:
        return f'a schema must state its type; add "type": {shown(implied)}'
    return "a schema must state its type, or use $ref, enum, const, anyOf or oneOf; true stands for any value"


def _why_refused(key: str, form: str | None, types: Iterable[str]) -> Mistake:
    if key in ADVICE:
        return KEYWORD_REFUSED, f"{key} is not accepted: {ADVICE[key]}"
    if key.startswith("x-"):
        return VENDOR_KEYWORD, f"{shown(key)} is not accepted: vendor keywords would have no effect; use $comment"
    if key not in KNOWN:
        return UNKNOWN_KEYWORD, f"{shown(key)} is not a keyword of JSON Schema{nearest(key, KNOWN)}"
    if form is None and {"integer", "number"} & set(types) and key in NUMBER_ADVICE:
        return KEYWORD_REFUSED, f"{key} is not accepted here: {NUMBER_ADVICE[key]}"
    if form is None:
        owner = next(name for name, keywords in BY_TYPE.items() if key in keywords)
        return KEYWORD_MISPLACED, f"{key} has no effect on the type {listed(types)}; it belongs to {owner}"
    if form == "$ref":
        return KEYWORD_MISPLACED, f"{key} beside $ref is not accepted; put it into the definition that is referenced"
    if form in ("const", "enum"):
        return KEYWORD_MISPLACED, f"{key} beside {form} is not accepted; the listed values say it all"
    return KEYWORD_MISPLACED, f"{key} beside {form} is not accepted; put it into each branch"
