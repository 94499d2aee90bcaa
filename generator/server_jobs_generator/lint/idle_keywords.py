"""The keywords of a schema that have no effect. They are warnings, and the generated contract leaves them out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from pydantic import JsonValue
from server_jobs.contract.formats import FORMATS
from server_jobs.contract.schemas.content import ENCODINGS, MEDIA_TYPES

from ..problems.problem import listed, nearest, shown
from ..problems.rules import KEYWORD_IGNORED, UNKNOWN_FORMAT, Mistake
from ..read.keywords import (
    ADVICE,
    ANNOTATIONS,
    BY_TYPE,
    KEYWORDS_ELSEWHERE,
    KNOWN,
    ONE_SCHEMA,
    OTHER_ANNOTATIONS,
    SCHEMA_LIST,
    SCHEMA_MAP,
    Schema,
    types_of,
    value_problem,
)

NEEDS = {
    "then": "if",
    "else": "if",
    "minContains": "contains",
    "maxContains": "contains",
    "contentSchema": "contentMediaType",
}
"""The keywords that need another one to have an effect."""

_OF_SOME_TYPE = frozenset[str]().union(*BY_TYPE.values())
# Formats of OpenAPI. They name a type of other languages, which has no rule for the text.
_PLAIN_FORMATS = frozenset({"int32", "int64", "float", "double", "decimal", "binary", "password", "char"})
_LEAST_LETTERS = 4


def idle_keywords(schema: Schema, formats: Collection[str] = ()) -> Iterator[tuple[str, Mistake | None]]:
    """Yield the keywords of a schema without an effect, each with a warning; None if nobody expects an effect.

    `formats` are the formats with a custom type.
    """
    types = types_of(schema)
    others = _OF_SOME_TYPE.difference(*(BY_TYPE[name] for name in types)) if types else frozenset[str]()
    for key, value in schema.items():
        if key == "$schema":
            continue
        if key not in KNOWN:
            yield key, _unknown(key, value)
        elif key in others:
            yield key, _misplaced(key, value, types)
        elif (needed := NEEDS.get(key, key)) not in schema:
            yield key, (KEYWORD_IGNORED, f"{key} has no effect without {needed}")
        elif key in ANNOTATIONS and (mistake := value_problem(key, value)):
            yield key, (KEYWORD_IGNORED, f"{mistake[1]}; it is ignored")
        elif key == "format" and isinstance(value, str) and value not in FORMATS and value not in formats:
            yield key, None if value in _PLAIN_FORMATS else _unknown_format(value)
        elif key == "contentEncoding" and isinstance(value, str) and value not in ENCODINGS:
            yield key, _not_enforced(value, ENCODINGS)
        elif key == "contentMediaType" and isinstance(value, str) and value not in MEDIA_TYPES:
            yield key, _not_enforced(value, MEDIA_TYPES)


def effective(schema: Schema, formats: Collection[str] = ()) -> dict[str, JsonValue]:
    """Return a schema without the keywords that have no effect."""
    idle = {key for key, _ in idle_keywords(schema, formats)}
    return {key: value for key, value in schema.items() if key not in idle}


def misspelled(key: str, value: JsonValue) -> str | None:
    """Return the keyword that an unknown one is a likely misspelling of.

    Only capitals or one letter differ, and the value is of the right kind.
    """
    if (
        not (key.isidentifier() and key[0].isalpha())
        or key in KNOWN | OTHER_ANNOTATIONS | ADVICE.keys() | KEYWORDS_ELSEWHERE.keys()
    ):
        return None
    return next((known for known in sorted(KNOWN) if _is_misspelling(key, known) and _may_have(known, value)), None)


def _may_have(keyword: str, value: JsonValue) -> bool:
    """Return whether a value is of the kind that a keyword needs."""
    if keyword in ONE_SCHEMA:
        return isinstance(value, dict | bool)
    if keyword in SCHEMA_MAP:
        return isinstance(value, dict)
    if keyword in SCHEMA_LIST or keyword in ("required", "enum"):
        return isinstance(value, list)
    return value_problem(keyword, value) is None


def _is_misspelling(key: str, known: str) -> bool:
    if _letters(key) == _letters(known):
        return True
    if min(len(key), len(known)) < _LEAST_LETTERS or abs(len(key) - len(known)) > 1:
        return False
    start = next((at for at, (one, other) in enumerate(zip(key, known, strict=False)) if one != other), None)
    if start is None:
        return True
    rest, known_rest = key[start:], known[start:]
    is_swapped = rest[:2] == known_rest[1::-1] and rest[2:] == known_rest[2:]
    return is_swapped or rest[1:] == known_rest[1:] or rest[1:] == known_rest or rest == known_rest[1:]


def _letters(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _unknown(key: str, value: JsonValue) -> Mistake | None:
    if key.startswith("x-") or key in OTHER_ANNOTATIONS or key in ADVICE:
        return None
    meant = f"; write {KEYWORDS_ELSEWHERE[key]}" if key in KEYWORDS_ELSEWHERE else ""
    where = "; if it is a property, put it into properties" if isinstance(value, dict) and not meant else ""
    return KEYWORD_IGNORED, f"{shown(key)} is not a keyword of JSON Schema, and has no effect{meant}{where}"


def _misplaced(key: str, value: JsonValue, types: Iterable[str]) -> Mistake | None:
    if key == "format" and isinstance(value, str) and value in _PLAIN_FORMATS:
        return None
    if key == "required":
        where = "; the object around it lists there which of its properties are"
        return KEYWORD_IGNORED, f"required has no effect on the type {listed(types)}{where}"
    owner = next(name for name, keywords in BY_TYPE.items() if key in keywords)
    return KEYWORD_IGNORED, f"{key} has no effect on the type {listed(types)}; it belongs to {owner}"


def _unknown_format(name: str) -> Mistake:
    known = nearest(name, FORMATS)
    return UNKNOWN_FORMAT, f"the format {shown(name)} is not known, and not enforced{known}; use pattern to enforce it"


def _not_enforced(value: str, known: tuple[str, ...]) -> Mistake:
    return KEYWORD_IGNORED, f"{shown(value)} is not enforced; {listed(known)} is"
