"""The checks of the options in `x-job` that only some places have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from ..options.places import kinds, owners, places
from ..problems.problem import did_you_mean, listed, nearest_of, shown
from ..problems.rules import OPTION_UNKNOWN, OPTION_VALUE, OPTION_WITHOUT_EFFECT, Rule
from ..read.document import Pointer
from .meaning_lint import Fitting

Finding = tuple[Pointer, Rule, str]


def place_option_problems(
    place: JsonValue, options: Mapping[str, JsonValue], fitting: Fitting, file: str
) -> Iterator[Finding]:
    """Yield the problems of options that places have, in a spec with this `runIn`."""
    for option, value in options.items():
        if place in owners(option):
            yield from _problems((option,), kinds()[str(place)].options[option], value, fitting, file)
        elif place in places():
            only = listed(f'"runIn": {shown(name)}' for name in owners(option))
            yield (option,), OPTION_WITHOUT_EFFECT, f"works only with {only}"


def _problems(
    pointer: Pointer, schema: Mapping[str, Any], value: JsonValue, fitting: Fitting, file: str
) -> Iterator[Finding]:
    known = schema.get("properties", {})
    unknown = value.keys() - known if isinstance(value, dict) and schema.get("additionalProperties") is False else set()
    for key in sorted(unknown):
        meant = did_you_mean(nearest_of(key, known)) or f"; use {listed(known)}"
        yield (*pointer, key), OPTION_UNKNOWN, f"{shown(key)} is not a key of {pointer[-1]}{meant}"
    rest = {key: member for key, member in value.items() if key not in unknown} if isinstance(value, dict) else value
    for below, reason in fitting.violations(dict(schema), file, rest):
        yield (*pointer, *below), OPTION_VALUE, _worded(schema, rest, below, reason)


def _worded(schema: Mapping[str, Any], value: JsonValue, path: Pointer, reason: str) -> str:
    """Return the reason in the words of the `title` that describes the value at this path, or the name there."""
    names: Mapping[str, Any] = {}
    for token in path:
        names, value = schema.get("propertyNames", {}), value[token]  # type: ignore[index]  # a path that the check has found
        schema = schema.get("properties", {}).get(token) or schema.get("additionalProperties") or {}
    if names and reason.startswith("has a name"):
        return f"{shown(path[-1])} must be {names['title']}" if "title" in names else reason
    return f"must be {schema['title']}, not {shown(value)}" if "title" in schema else reason
