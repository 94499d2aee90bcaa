"""Decide whether the branches of a `oneOf` exclude each other, so that a value can fit one at most."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from pydantic import JsonValue
from server_jobs.contract.schemas.json_equality import key_of, kind_of

from ..read.keywords import TYPES, Schema, types_of

_MOST_COMPARISONS = 200_000

Follow = Callable[[JsonValue], JsonValue]
"""A function that follows plain references to a schema."""

_Options = frozenset[Hashable] | None


@dataclass(frozen=True, slots=True)
class _Alternative:
    """The requirements of a branch.

    `tags` are its required properties, or None if any value fits; `closed` are the only properties that it allows, if
    any.
    """

    kinds: frozenset[str]
    options: _Options
    tags: Mapping[str, _Options]
    closed: frozenset[str] | None


@dataclass(slots=True)
class Branches:
    """Compares types, constants and required properties. Other keywords only narrow a branch, so they are ignored."""

    follow: Follow
    comparisons: int = 0

    def exclude_each_other(self, branches: list[JsonValue]) -> bool:
        """Return whether it is certain that no value fits two of the branches."""
        alternatives = [self._alternatives(branch) for branch in branches]
        if _all_differ([one.options for alternative in alternatives for one in alternative]):
            return True
        pairs = combinations(alternatives, 2)
        return all(self._exclude(one, other) for a, b in pairs for one, other in product(a, b))

    def _alternatives(self, schema: JsonValue) -> list[_Alternative]:
        """Return the branches of a branch, one level deep. Deeper levels prove nothing."""
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
    """Return whether one branch forbids a property that the other requires."""
    return one.closed is not None and not other.tags.keys() <= one.closed


def _kinds(schema: Schema) -> frozenset[str]:
    """Return the possible types of values; every number counts as `number`."""
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
    """Return the only values that fit; None if the schema does not list them."""
    values = _values(schema) if isinstance(schema, dict) else None
    return None if values is None else frozenset(map(key_of, values))


def _all_differ(choices: list[_Options]) -> bool:
    """Return whether all values are known, and none is in two branches."""
    known = [choice for choice in choices if choice is not None]
    return len(known) == len(choices) and len(frozenset[Hashable]().union(*known)) == sum(map(len, known))
