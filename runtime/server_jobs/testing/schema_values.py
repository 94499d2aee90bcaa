"""Strategies for JSON values of a schema.

Values are built to be valid. A filter covers the keywords that cannot be built for, such as `not`, `oneOf` and
`unevaluatedProperties`. Recursive definitions are followed a few levels deep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from ..contract.json_schema import DEFINITIONS, Schema, definitions_of, parts_of
from ..contract.schemas.checker import Checker
from ..contract.schemas.patterns import PatternError, matcher
from ..contract.values import canonical
from .fitting_values import Place, fitting
from .merged_schemas import kinds_of, merged
from .number_values import integers_of, numbers_of
from .object_values import ObjectParts, Pair
from .text_values import CHARACTERS, TextSchema

Values = SearchStrategy[JsonValue]
Test = Callable[[JsonValue], bool]

_SCALARS: Values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARACTERS, max_size=10)
ANYTHING: Values = st.one_of(
    _SCALARS,
    cast("Values", st.lists(_SCALARS, max_size=2)),
    cast("Values", st.dictionaries(st.text(CHARACTERS), _SCALARS, max_size=2)),
)

_MORE_ITEMS = 3
_NO_LIMIT = 2**31
_TURNS = 2
_SAYS_NOTHING = frozenset(
    {"$comment", "$defs", "default", "deprecated", "description", "discriminator", "examples", "title"}
)
_NOT_MADE_AFTER = frozenset(
    {
        *("allOf", "anyOf", "oneOf", "not", "if", "contains", "uniqueItems", "dependentRequired", "dependentSchemas"),
        *("unevaluatedItems", "unevaluatedProperties", "propertyNames", "patternProperties", "maxProperties"),
    }
)


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

    def of(self, schema: JsonValue | Schema, left: int | None = None, place: Place = ()) -> Values:
        """Return values of a schema; none if they would need more than `left` levels of recursion.

        Drawing raises `NothingFitsError` if hardly any value made for a schema is valid.
        """
        turns = len(self._recursive) + _TURNS if left is None else left
        values = self._after(schema, turns, place)
        if not isinstance(schema, Mapping) or not schema.keys() & _NOT_MADE_AFTER or values.is_empty:
            return values
        return fitting(lambda draw: [draw(values)], self._test(schema), place)

    def empty_place(self, schema: JsonValue | Schema) -> Place:
        """Return the part of a document that has no valid value, if the document has none."""
        place: Place = ()
        seen: set[int] = set()
        while id(schema) not in seen:
            seen.add(id(schema))
            empty = (part for part in _needed(self._resolved(schema)) if self.of(part[1]).is_empty)
            if (found := next(empty, None)) is not None:
                place, schema = (*place, found[0]), found[1]
        return place

    def _after(self, schema: JsonValue | Schema, turns: int, place: Place) -> Values:
        if schema is False:
            return st.nothing()
        if not isinstance(schema, Mapping):
            return ANYTHING
        if "if" in schema:
            return st.one_of([self._after(way, turns, place) for way in self._ways(schema)])
        for joining in ("allOf", "anyOf", "oneOf"):
            branches = schema.get(joining)
            if isinstance(branches, list) and branches:
                rest: Schema = {key: value for key, value in schema.items() if key != joining}
                if joining == "allOf":
                    return self._after(self._merged(rest, branches), turns, place)
                return st.one_of([self._branch(rest, branch, turns, place) for branch in branches])
        if "$ref" in schema:
            return self._referenced(schema, turns, place)
        return self._plain(schema, turns, place)

    def _ways(self, schema: Schema) -> list[JsonValue | Schema]:
        """Return the schema merged with `else`, with `if` and `then`, and with `then` alone."""
        rest = {key: value for key, value in schema.items() if key not in ("if", "then", "else")}
        then, otherwise = schema.get("then", True), schema.get("else", True)
        return [self._merged(rest, [otherwise]), self._merged(rest, [schema["if"], then]), self._merged(rest, [then])]

    def _merged(self, schema: JsonValue | Schema, others: list[JsonValue]) -> JsonValue | Schema:
        for other in others:
            schema = merged(schema, self._resolved(other))
        return schema

    def _branch(self, rest: Schema, branch: JsonValue, turns: int, place: Place) -> Values:
        if not rest.keys() - _SAYS_NOTHING:
            return self.of(branch, turns, place)
        return self._after(merged(rest, self._resolved(branch)), turns, place)

    def _referenced(self, schema: Schema, turns: int, place: Place) -> Values:
        name = str(schema["$ref"]).removeprefix(DEFINITIONS)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        is_recursive = name in self._recursive
        if name not in self._definitions or (is_recursive and turns == 0):
            return st.nothing()
        left = turns - 1 if is_recursive else turns
        if rest.keys() - _SAYS_NOTHING:
            return self._after(merged(rest, self._definitions[name]), left, place)
        if (name, left) not in self._made:
            self._made[name, left] = self.of(self._definitions[name], left, place)
        return self._made[name, left]

    def _resolved(self, schema: JsonValue | Schema) -> JsonValue | Schema:
        """Replace a `$ref`, because merging knows no references. A circular one stays; the filter handles it."""
        for _ in range(len(self._definitions) + 1):
            if not isinstance(schema, Mapping) or "$ref" not in schema:
                return schema
            name = str(schema["$ref"]).removeprefix(DEFINITIONS)
            rest: JsonValue = {key: value for key, value in schema.items() if key != "$ref"}
            schema = merged(rest, self._definitions.get(name, True))
        return True

    def _plain(self, schema: Schema, turns: int, place: Place) -> Values:
        options = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(options, list):
            fitting = list(filter(self._test(schema), options))
            return st.sampled_from(fitting) if fitting else st.nothing()
        kinds = kinds_of(schema)
        return ANYTHING if kinds is None else st.one_of([self._of_kind(kind, schema, turns, place) for kind in kinds])

    def _of_kind(self, kind: str, schema: Schema, turns: int, place: Place) -> Values:
        match kind:
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return integers_of(schema)
            case "number":
                return numbers_of(schema)
            case "string":
                return cast("Values", self._texts(schema, turns, place))
            case "array":
                return self._lists(schema, turns, place)
            case "object":
                return self._objects(schema, turns, place)
            case _:
                return st.nothing()

    def _texts(self, schema: Schema, turns: int, place: Place) -> SearchStrategy[str]:
        form, patterns = schema.get("format"), schema.get("pattern")
        stated = TextSchema(
            least=_count(schema, "minLength", 0),
            most=_count(schema, "maxLength", 0) if "maxLength" in schema else None,
            form=form if isinstance(form, str) else None,
            patterns=tuple(map(str, patterns if isinstance(patterns, list) else [patterns] if patterns else [])),
            encoding=schema.get("contentEncoding"),
            media_type=schema.get("contentMediaType"),
            content=self.of(schema.get("contentSchema", True), turns, place),
            fits=self._test({**schema, "type": "string"}),
            place=place,
        )
        return stated.texts()

    def _lists(self, schema: Schema, turns: int, place: Place) -> Values:
        prefix = schema.get("prefixItems")
        stated = prefix if isinstance(prefix, list) else []
        first = [self.of(part, turns, (*place, str(index))) for index, part in enumerate(stated)]
        items = self.of(schema.get("items", True), turns, (*place, "0"))
        least = _count(schema, "minItems", 0)
        most = min(_count(schema, "maxItems", least + _MORE_ITEMS), max(least, len(first)) + _MORE_ITEMS)
        if "contains" in schema:
            wanted = self._merged(schema.get("items", True), [schema["contains"]])
            first += [self._after(wanted, turns, (*place, "0"))] * _count(schema, "minContains", 1)
        if first:
            first = first[:most]
            fewest = max(0, least - len(first))
            # Add undeclared properties only if there are too few declared ones.
            rest = _list_of(items, fewest, most - len(first) if "items" in schema else fewest)
            return st.builds(lambda begin, end: [*begin, *end], st.tuples(*first), rest)
        return _list_of(items, least, max(least, most), unique=schema.get("uniqueItems") is True)

    def _objects(self, schema: Schema, turns: int, place: Place) -> Values:
        stated, needed = schema.get("properties"), schema.get("required")
        properties = stated if isinstance(stated, dict) else {}
        required = [str(name) for name in needed] if isinstance(needed, list) else []
        here = {
            name: self.of(self._property(schema, name), turns, (*place, name))
            for name in dict.fromkeys([*properties, *required])
        }
        least, most = _count(schema, "minProperties", 0), _count(schema, "maxProperties", _NO_LIMIT)
        return ObjectParts(here, frozenset(required), self._more(schema, turns, place, here), least, most).objects()

    def _property(self, schema: Schema, name: str) -> JsonValue:
        """Return the schema of a property: declared, from the patterns that match its name, or for other names."""
        properties, patterns = schema.get("properties"), schema.get("patternProperties")
        found = [properties[name]] if isinstance(properties, dict) and name in properties else []
        matching = patterns if isinstance(patterns, dict) else {}
        found += [part for pattern, part in matching.items() if _matches(pattern, name)]
        if not found:
            return schema.get("additionalProperties", True)
        return found[0] if len(found) == 1 else {"allOf": found}

    def _more(self, schema: Schema, turns: int, place: Place, here: Mapping[str, Values]) -> list[SearchStrategy[Pair]]:
        """Return undeclared names with their values: names of each pattern, and other names."""
        patterns, names = schema.get("patternProperties"), schema.get("propertyNames", True)
        inside = (*place, "*")
        stated = list(patterns) if isinstance(patterns, dict) else []
        pairs = [
            st.tuples(self._names(pattern, names, here), self.of(self._matching(patterns, pattern), turns, inside))
            for pattern in stated
        ]
        others = self.of(schema.get("additionalProperties", True), turns, inside)
        if not others.is_empty:
            free = self._names(None, names, here).filter(lambda name: not any(_matches(one, name) for one in stated))
            pairs.append(st.tuples(free, others))
        return pairs

    @staticmethod
    def _matching(patterns: JsonValue, pattern: str) -> JsonValue:
        return patterns[pattern] if isinstance(patterns, dict) else True

    def _names(self, pattern: str | None, names: JsonValue, here: Mapping[str, Values]) -> SearchStrategy[str]:
        schema: Schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
        found = cast("SearchStrategy[str]", self._after(self._merged(schema, [names]), 0, ()))
        return found if found.is_empty else found.filter(lambda name: name not in here)

    def _test(self, schema: Schema) -> Test:
        """Return a check of values against a schema, which may be a merged one."""
        stated = {key: value for key, value in schema.items() if key not in ("multipleOf", "pattern")}
        lists: list[tuple[str, list[JsonValue]]] = [
            (key, part if isinstance(part, list) else [part])
            for key in ("multipleOf", "pattern")
            if (part := schema.get(key)) is not None
        ]
        parts: list[JsonValue] = [{key: one} for key, listed in lists for one in listed]
        whole = {"allOf": [stated, *parts], "$defs": dict(self._definitions)}

        @cache
        def checker() -> Checker:
            return Checker(whole)

        return lambda value: checker().fits(value)

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


def _needed(schema: JsonValue | Schema) -> list[tuple[str, JsonValue]]:
    """Return the parts that every document of a schema has, with their names."""
    if not isinstance(schema, Mapping):
        return []
    required, properties = schema.get("required"), schema.get("properties")
    stated = properties if isinstance(properties, dict) else {}
    others = schema.get("additionalProperties", True)
    found = [(str(name), stated.get(str(name), others)) for name in (required if isinstance(required, list) else [])]
    prefix = schema.get("prefixItems")
    if _count(schema, "minItems", 0):
        found += [(str(index), part) for index, part in enumerate(prefix if isinstance(prefix, list) else [])]
        found += [("0", schema.get("items", True))]
    return found


def _list_of(items: Values, least: int, most: int, *, unique: bool = False) -> SearchStrategy[list[JsonValue]]:
    if items.is_empty:
        return st.nothing() if least else st.builds(list)
    return st.lists(items, min_size=least, max_size=most, unique_by=canonical if unique else None)


def _matches(pattern: str, name: str) -> bool:
    try:
        return matcher(pattern)(name)
    except PatternError:
        return False


def _count(schema: Schema, key: str, otherwise: int) -> int:
    value = schema.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
