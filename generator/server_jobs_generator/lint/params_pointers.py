"""Pointers into params, from `unique`, `concurrency`, `rate` and `redact` of `x-job`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.values import path_of, pointer_to

from ..problems.problem import Suggestions, shown
from ..read.keywords import applied_schemas
from .meaning_lint import Fitting, referenced

_MOST_ALTERNATIVES = 1_000
_MOST_STEPS = 100_000
_LONGEST_READ = 500


@dataclass(slots=True)
class ParamsPointers:
    """Follows pointers through the schema of the params, which is in that file."""

    params: JsonValue
    file: str
    fitting: Fitting
    suggestions: Suggestions = field(default_factory=Suggestions)
    steps: int = 0

    def missing(self, pointer: str) -> str | None:
        """Return which part of the pointer no params can have; None if some params can have all of it."""
        schemas = [(self.params, self.file)]
        for key in path_of(pointer):
            if self.steps > _MOST_STEPS:
                return "it takes too long to look; make the schema or the pointers simpler"
            schemas = self._below(schemas, key)
            if not schemas:
                return f"there is no {shown(key)}"
        return None

    def meant(self, text: str) -> str | None:
        """Return a suggestion for a misspelled pointer; None if nothing in params is similar."""
        return next(filter(None, map(self._nearest, _readings(text[:_LONGEST_READ]))), None)

    def _nearest(self, keys: list[str]) -> str | None:
        """Return the pointer with the most similar names."""
        schemas, found = [(self.params, self.file)], list[str]()
        for key in keys:
            below = self._below(schemas, key)
            name = key if below else self.suggestions.nearest_of(key, self._names(schemas))
            if name is None or self.steps > _MOST_STEPS:
                return None
            schemas = below or self._below(schemas, name)
            found.append(name)
        return pointer_to(found) or None

    def _below(self, schemas: list[tuple[JsonValue, str]], key: str) -> list[tuple[JsonValue, str]]:
        """Return the schemas under a key."""
        alternatives = self._alternatives(schemas)
        return [(below, file) for schema, file in alternatives for below in schemas_below(schema, key)][
            :_MOST_ALTERNATIVES
        ]

    def _names(self, schemas: list[tuple[JsonValue, str]]) -> list[str]:
        """Return the known keys."""
        return [name for schema, _ in self._alternatives(schemas) for name in _names_in(schema)]

    def _alternatives(self, schemas: list[tuple[JsonValue, str]]) -> list[tuple[JsonValue, str]]:
        """Return these schemas, and all that apply to the same values: references, branches, conditions."""
        found: dict[tuple[int, str], tuple[JsonValue, str]] = {}
        pending = list(schemas)
        while pending and len(found) < _MOST_ALTERNATIVES:
            schema, file = pending.pop()
            self.steps += 1
            # Each schema once, as its children are the same.
            if (id(schema), file) not in found:
                found[id(schema), file] = schema, file
                pending += self._applied(schema, file)
        return list(found.values())

    def _applied(self, schema: JsonValue, file: str) -> Iterator[tuple[JsonValue, str]]:
        """Yield the schemas that apply to the same values."""
        if isinstance(schema, dict) and "$ref" in schema:
            yield referenced(self.fitting.library, str(schema["$ref"]), file)
        yield from ((inner, file) for inner in applied_schemas(schema))


def _readings(text: str) -> Iterator[list[str]]:
    """Yield the paths that a text may mean: a name, a path with dots, or a pointer into the spec."""
    keys = [key for key in re.split("/" if "/" in text else "[.]", text.lstrip("#$")) if key]
    names = [key for key in keys if key != "properties"]
    yield from ([names[1:]] if names[:1] == ["params"] else [])
    yield from (names, keys)


def schemas_below(schema: JsonValue, key: str) -> list[JsonValue]:
    """Return the stated schemas for a key or an index of a value."""
    if not isinstance(schema, dict):
        return [True] if schema is True else []
    properties, prefix = schema.get("properties"), schema.get("prefixItems")
    if isinstance(properties, dict) and key in properties:
        return [properties[key]]
    patterns = schema.get("patternProperties")
    inner = list(patterns.values()) if isinstance(patterns, dict) else []
    inner += [schema[name] for name in ("additionalProperties", "unevaluatedProperties") if name in schema]
    if key.isascii() and key.isdecimal():
        inner += prefix if isinstance(prefix, list) else []
        inner += [schema[name] for name in ("items", "unevaluatedItems") if name in schema]
    return [one for one in inner if one is not False]


def _names_in(schema: JsonValue) -> Iterator[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    yield from properties if isinstance(properties, dict) else ()
