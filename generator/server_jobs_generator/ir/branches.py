"""Whether the branches of a `oneOf` exclude each other: then exactly one fits whenever one does."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from pydantic import JsonValue
from server_jobs.contract.schemas.values import key_of, kind_of

from ..lint.schema_lint import Schema, types_of
from ..read.keywords import TYPES

_MOST_COMPARISONS = 200_000

Follow = Callable[[JsonValue], JsonValue]
"""The schema behind any chain of references."""

_Options = frozenset[Hashable] | None


@dataclass(frozen=True, slots=True)
class _Alternative:
    """What is known of the values that fit a branch.

    `tags` are its required properties, None where any value fits; `closed` are the only properties it allows, if so.
    """

    kinds: frozenset[str]
    options: _Options
    tags: Mapping[str, _Options]
    closed: frozenset[str] | None


@dataclass(slots=True)
class Branches:
    """Looks at what is plain: types, constants, required properties. What else a branch says only narrows it."""

    follow: Follow
    comparisons: int = 0

    def exclude_each_other(self, branches: list[JsonValue]) -> bool:
        """Whether it is plain that no value fits two of them."""
        alternatives = [self._alternatives(branch) for branch in branches]
        if _all_differ([one.options for alternative in alternatives for one in alternative]):
            return True
        pairs = combinations(alternatives, 2)
        return all(self._exclude(one, other) for a, b in pairs for one, other in product(a, b))

    def _alternatives(self, schema: JsonValue) -> list[_Alternative]:
        """The branches of a branch, one level deep; further down nothing is proven."""
        schema = self.follow(schema)
        branches = schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, dict) else None
        if not isinstance(branches, list):
            return [self._alternative(schema)]
        return [self._alternative(self.follow(branch)) for branch in branches]

    def _alternative(self, schema: JsonValue) -> _Alternative:
        if not isinstance(schema, dict):
            return _Alternative(frozenset(TYPES), None, {}, None)
        properties, required = schema.get("properties"), schema.get("required")
        stated = properties.items() if isinstance(properties, dict) else ()
        always = required if isinstance(required, list) else []
        tags: dict[str, _Options] = {name: None for name in always if isinstance(name, str)}
        tags |= {name: _options(self.follow(tag)) for name, tag in stated if name in always}
        is_closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
        closed = frozenset(name for name, _ in stated) if is_closed else None
        return _Alternative(_kinds(schema), _options(schema), tags, closed)

    def _exclude(self, one: _Alternative, other: _Alternative) -> bool:
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


def _options(schema: JsonValue) -> _Options:
    """The only values that fit; None unless the schema lists them."""
    values = _values(schema) if isinstance(schema, dict) else None
    return None if values is None else frozenset(map(key_of, values))


def _all_differ(choices: list[_Options]) -> bool:
    """Whether all are known, and no value is in two of them."""
    known = [choice for choice in choices if choice is not None]
    return len(known) == len(choices) and len(frozenset[Hashable]().union(*known)) == sum(map(len, known))
