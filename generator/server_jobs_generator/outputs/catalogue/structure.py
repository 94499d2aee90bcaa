"""Where a schema has properties to be told of: its own, those of its parts, and those further inside.

References are not followed here: what is behind them has a table of its own, or is told in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from pydantic import JsonValue
from server_jobs.contract.json_schema import Schema

_UNIONS = ("anyOf", "oneOf")

Alternative = tuple[int, JsonValue]
"""One branch of a union, and its number among all that the schema has."""


@dataclass(frozen=True, slots=True)
class Property:
    """What is said of one property of an object; `name` is a pattern between slashes where there is no name."""

    name: str
    schema: JsonValue
    is_required: bool


def conjuncts(schema: JsonValue | Schema) -> list[Schema]:
    """The schemas that hold of a value at once: the schema itself, and the parts of its `allOf`."""
    if not isinstance(schema, Mapping):
        return []
    if "allOf" not in schema:
        return [schema]
    return [schema, *(one for part in listed(schema, "allOf") for one in conjuncts(part))]


def properties_of(schema: JsonValue | Schema) -> list[Property]:
    """The properties that every value of the schema may have, each once."""
    parts = conjuncts(schema)
    needed = [name for part in parts for name in listed(part, "required")]
    said: dict[str, list[JsonValue]] = {}
    patterns: dict[str, list[JsonValue]] = {}
    for part in parts:
        for found, key in ((said, "properties"), (patterns, "patternProperties")):
            for name, one in mapped(part, key).items():
                found.setdefault(name, []).append(one)
    named = [Property(name, _all_of(found), name in needed) for name, found in said.items()]
    return named + [Property(f"/{name}/", _all_of(found), is_required=False) for name, found in patterns.items()]


def places_in(schema: JsonValue | Schema) -> Iterator[tuple[str, JsonValue]]:
    """What else may have properties: `[]` elements, `[0]` the first one, `.*` values of a map, `(1)` an alternative."""
    for part in conjuncts(schema):
        yield from ((f"[{index}]", one) for index, one in enumerate(listed(part, "prefixItems")))
        yield from (("[]", part[key]) for key in ("items", "unevaluatedItems") if key in part)
        yield from ((".*", part[key]) for key in ("additionalProperties", "unevaluatedProperties") if key in part)
    yield from ((f"({number})", branch) for _, branches in unions_of(schema) for number, branch in branches)


def unions_of(schema: JsonValue | Schema) -> list[tuple[str, list[Alternative]]]:
    """Each `anyOf` and `oneOf` that holds of a value, with its branches."""
    found = [(key, listed(part, key)) for part in conjuncts(schema) for key in _UNIONS if listed(part, key)]
    number = count(1)
    return [(key, [(next(number), branch) for branch in branches]) for key, branches in found]


def has_rows(schema: JsonValue | Schema) -> bool:
    """Whether there is any property to be told of."""
    return bool(properties_of(schema)) or any(has_rows(part) for _, part in places_in(schema))


def listed(schema: Schema, key: str) -> list[JsonValue]:
    """The list under a key; none where there is none."""
    found = schema.get(key)
    return found if isinstance(found, list) else []


def mapped(schema: Schema, key: str) -> dict[str, JsonValue]:
    """The object under a key; an empty one where there is none."""
    found = schema.get(key)
    return found if isinstance(found, dict) else {}


def _all_of(schemas: list[JsonValue]) -> JsonValue:
    return schemas[0] if len(schemas) == 1 else {"allOf": schemas}
