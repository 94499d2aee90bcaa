"""JSON values after a schema, as strategies of Hypothesis: nearly all of them fit, and what does not is sieved out.

Whatever is not known here (`not`, `if`, `contains` …) is left to the sieve. What contains itself is followed a few
times around, no further.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from ..json_schema import DEFINITIONS, Schema, definitions_of, parts_of
from ..values import canonical
from .format_values import FORMAT_VALUES
from .merged_schemas import kinds_of, merged

Values = SearchStrategy[JsonValue]

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
_SCALARS: Values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARACTERS, max_size=10)
ANYTHING: Values = st.one_of(
    _SCALARS,
    cast("Values", st.lists(_SCALARS, max_size=2)),
    cast("Values", st.dictionaries(st.text(CHARACTERS), _SCALARS, max_size=2)),
)

_MORE_CHARACTERS = 20
_MORE_ITEMS = 3
_TURNS = 2
_EXACT = 2**53


@dataclass(slots=True)
class SchemaValues:
    """Makes strategies for the schemas inside one schema, whose definitions they refer to."""

    root: Schema
    _definitions: Schema = field(init=False)
    _recursive: frozenset[str] = field(init=False)
    _made: dict[tuple[str, int], Values] = field(default_factory=dict[tuple[str, int], Values])

    def __post_init__(self) -> None:
        self._definitions = definitions_of(self.root)
        self._recursive = frozenset(name for name in self._definitions if self._contains_itself(name))

    def of(self, schema: JsonValue | Schema, left: int | None = None) -> Values:
        """Values for a schema; none where it would be gone around more than `left` times."""
        turns = len(self._recursive) + _TURNS if left is None else left
        if schema is False:
            return st.nothing()
        if not isinstance(schema, Mapping):
            return ANYTHING
        for joining in ("allOf", "anyOf", "oneOf"):
            branches = schema.get(joining)
            if isinstance(branches, list) and branches:
                rest: Schema = {key: value for key, value in schema.items() if key != joining}
                if joining == "allOf":
                    return self.of(self._merged(rest, branches), turns)
                return st.one_of([self._branch(rest, branch, turns) for branch in branches])
        if "$ref" in schema:
            return self._referenced(schema, turns)
        return self._plain(schema, turns)

    def _merged(self, schema: JsonValue | Schema, others: list[JsonValue]) -> JsonValue | Schema:
        for other in others:
            schema = merged(schema, self._resolved(other))
        return schema

    def _branch(self, rest: Schema, branch: JsonValue, turns: int) -> Values:
        if not rest.keys() - {"$defs", "default", "description", "discriminator", "examples", "title"}:
            return self.of(branch, turns)
        return self.of(merged(rest, self._resolved(branch)), turns)

    def _referenced(self, schema: Schema, turns: int) -> Values:
        name = str(schema["$ref"]).removeprefix(DEFINITIONS)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        is_recursive = name in self._recursive
        if name not in self._definitions or (is_recursive and turns == 0):
            return st.nothing()
        left = turns - 1 if is_recursive else turns
        if rest.keys() - {"$defs", "default", "description", "examples", "title", "deprecated"}:
            return self.of(merged(rest, self._definitions[name]), left)
        if (name, left) not in self._made:
            self._made[name, left] = self.of(self._definitions[name], left)
        return self._made[name, left]

    def _resolved(self, schema: JsonValue) -> JsonValue | Schema:
        """What is to be merged with others, which knows no references; one that goes round is left to the sieve."""
        for _ in range(len(self._definitions) + 1):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return schema
            name = str(schema["$ref"]).removeprefix(DEFINITIONS)
            rest: JsonValue = {key: value for key, value in schema.items() if key != "$ref"}
            schema = cast("JsonValue", merged(rest, self._definitions.get(name, True)))
        return True

    def _plain(self, schema: Schema, turns: int) -> Values:
        if "const" in schema:
            return st.just(schema["const"])
        options = schema.get("enum")
        if isinstance(options, list):
            return st.sampled_from(options) if options else st.nothing()
        kinds = kinds_of(schema)
        return ANYTHING if kinds is None else st.one_of([self._of_kind(kind, schema, turns) for kind in kinds])

    def _of_kind(self, kind: str, schema: Schema, turns: int) -> Values:
        match kind:
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return _integers(schema)
            case "number":
                return _integers({"minimum": -_EXACT, "maximum": _EXACT, **schema}) | _floats(schema)
            case "string":
                return _texts(schema)
            case "array":
                return self._lists(schema, turns)
            case "object":
                return self._objects(schema, turns)
            case _:
                return st.nothing()

    def _lists(self, schema: Schema, turns: int) -> Values:
        prefix = schema.get("prefixItems")
        first = [self.of(part, turns) for part in prefix] if isinstance(prefix, list) else []
        items = self.of(schema.get("items", not first), turns)
        least = _count(schema, "minItems", 0)
        most = min(_count(schema, "maxItems", least + _MORE_ITEMS), max(least, len(first)) + _MORE_ITEMS)
        wanted = schema.get("contains")
        if wanted is not None and not first:
            first = [self.of(wanted, turns)] * _count(schema, "minContains", 1)
        if first and len(first) <= most:
            rest = _list_of(items, max(0, least - len(first)), most - len(first))
            return st.builds(lambda begin, end: [*begin, *end], st.tuples(*first), rest)
        return _list_of(items, least, max(least, most), unique=schema.get("uniqueItems") is True)

    def _objects(self, schema: Schema, turns: int) -> Values:
        stated, needed = schema.get("properties"), schema.get("required")
        properties = stated if isinstance(stated, dict) else {}
        required = [str(name) for name in needed] if isinstance(needed, list) else []
        others = self._others(schema, turns)
        here = {name: self.of(part, turns) for name, part in properties.items()}
        here |= {name: others for name in required if name not in here}
        least = _count(schema, "minProperties", 0)
        most = _count(schema, "maxProperties", max(least, len(here)) + _MORE_ITEMS)
        named = st.fixed_dictionaries(
            {name: values for name, values in here.items() if name in required},
            optional={name: values for name, values in here.items() if name not in required and not values.is_empty},
        )
        if others.is_empty or (properties and least <= len(required)):
            return cast("Values", named)
        keys = self._keys(schema, turns).filter(lambda key: key not in properties)
        fewest = max(0, least - len(required))
        if keys.is_empty:
            return cast("Values", named)
        more = st.dictionaries(keys, others, min_size=fewest, max_size=max(fewest, most - len(here)))
        return st.builds(lambda one, other: {**other, **one}, named, more)

    def _others(self, schema: Schema, turns: int) -> Values:
        """The values of keys that are not declared."""
        patterns = schema.get("patternProperties")
        if isinstance(patterns, dict) and patterns:
            return st.one_of([self.of(part, turns) for part in patterns.values()])
        return self.of(schema.get("additionalProperties", True), turns)

    def _keys(self, schema: Schema, turns: int) -> SearchStrategy[str]:
        patterns, names = schema.get("patternProperties"), schema.get("propertyNames")
        if isinstance(patterns, dict) and patterns:
            return st.one_of([_matching(pattern) for pattern in patterns])
        if names is not None:
            return cast("SearchStrategy[str]", self.of(merged({"type": "string"}, names), turns))
        return st.text(CHARACTERS, max_size=_MORE_CHARACTERS)

    def _contains_itself(self, start: str) -> bool:
        seen: set[str] = set()
        pending: list[JsonValue] = [self._definitions[start]]
        while pending:
            schema = pending.pop()
            pending += parts_of(schema)
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            name = reference.removeprefix(DEFINITIONS) if isinstance(reference, str) else None
            if name == start:
                return True
            if name in self._definitions and name not in seen and name is not None:
                seen.add(name)
                pending.append(self._definitions[name])
        return False


def _list_of(items: Values, least: int, most: int, *, unique: bool = False) -> SearchStrategy[list[JsonValue]]:
    if items.is_empty:
        return st.nothing() if least else st.builds(list)
    return st.lists(items, min_size=least, max_size=most, unique_by=canonical if unique else None)


def _texts(schema: Schema) -> Values:
    form, pattern = schema.get("format"), schema.get("pattern")
    if isinstance(form, str) and form in FORMAT_VALUES:
        return FORMAT_VALUES[form]
    least = _count(schema, "minLength", 0)
    most = min(_count(schema, "maxLength", least + _MORE_CHARACTERS), least + _MORE_CHARACTERS)
    if isinstance(pattern, str):
        return _matching(pattern).filter(lambda text: least <= len(text) <= _count(schema, "maxLength", len(text)))
    return st.text(CHARACTERS, min_size=least, max_size=most) if least <= most else st.nothing()


def _matching(pattern: str) -> SearchStrategy[str]:
    """Texts that Python finds the pattern in, without what it leaves open around the match."""
    try:
        anchored = re.compile(pattern, re.ASCII)  # `\d` and `\w` mean that in a spec
    except re.error:
        return st.nothing()
    return st.from_regex(anchored, alphabet=CHARACTERS).map(lambda text: text.removesuffix("\n"))


def _integers(schema: Schema) -> Values:
    lowest, highest = _bounds(schema)
    step = schema.get("multipleOf", 1)
    if not isinstance(step, int) or isinstance(step, bool):
        return _multiples(schema, float(cast("float", step)))
    low = None if lowest is None else math.ceil(lowest / step) if lowest % 1 else -((-int(lowest)) // step)
    high = None if highest is None else math.floor(highest / step) if highest % 1 else int(highest) // step
    if low is not None and high is not None and low > high:
        return st.nothing()
    return st.integers(low, high).map(lambda number: number * step)


def _multiples(schema: Schema, step: float) -> Values:
    lowest, highest = _bounds(schema)
    low = None if lowest is None else math.ceil(lowest / step)
    high = None if highest is None else math.floor(highest / step)
    if low is not None and high is not None and low > high:
        return st.nothing()
    return st.integers(low, high).map(lambda number: number * step)


def _floats(schema: Schema) -> Values:
    if "multipleOf" in schema:
        return st.nothing()
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    low = max((float(cast("float", one)) for one in (lowest, above) if _is_number(one)), default=None)
    high = min((float(cast("float", one)) for one in (highest, below) if _is_number(one)), default=None)
    is_open = low is not None and low == above, high is not None and high == below
    if low is not None and high is not None and (low > high or (low == high and any(is_open))):
        return st.nothing()
    return st.floats(low, high, allow_nan=False, allow_infinity=False, exclude_min=is_open[0], exclude_max=is_open[1])


def _bounds(schema: Schema) -> tuple[float | None, float | None]:
    """The least and the greatest whole number within the bounds."""
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lows = [math.ceil(cast("float", lowest))] if _is_number(lowest) else []
    lows += [math.floor(cast("float", above)) + 1] if _is_number(above) else []
    highs = [math.floor(cast("float", highest))] if _is_number(highest) else []
    highs += [math.ceil(cast("float", below)) - 1] if _is_number(below) else []
    return max(lows, default=None), min(highs, default=None)


def _count(schema: Schema, key: str, otherwise: int) -> int:
    value = schema.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
