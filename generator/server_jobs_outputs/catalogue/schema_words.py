"""A schema in words for a table: the type of a value, its constraints, and the properties in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from pydantic import JsonValue
from server_jobs.contract.json_schema import DEFINITIONS, Schema

_UNIONS = ("anyOf", "oneOf")

Alternative = tuple[int, JsonValue]
"""One branch of a union, and its number among all branches of the schema."""
ANY = "any value"

_RANGES = (
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
    ("minProperties", "maxProperties", "property"),
)
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_PLURALS = {"character": "characters", "item": "items", "property": "properties"}
_OTHERS = ("additionalProperties", "unevaluatedProperties")
# Keywords that other columns, other rows or the functions below already show.
_SAID = frozenset(
    {
        *("$defs", "$ref", "allOf", "anyOf", "const", "default", "dependentRequired", "deprecated", "description"),
        *("enum", "examples", "format", "items", "oneOf", "pattern", "patternProperties", "prefixItems", "properties"),
        *("multipleOf", "required", "title", "type", "unevaluatedItems", "uniqueItems", *_BOUNDS, *_OTHERS),
        *(keyword for least, most, _ in _RANGES for keyword in (least, most)),
    }
)
_DEEPEST = 5


def visible(text: str) -> str:
    """Return the text with every non-printable character spelled out, except line breaks."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else _spelled(one) for one in text.expandtabs(4))


def one_line(text: str) -> str:
    """Return the text on one line."""
    return " ".join(visible(text).split())


def json_shown(value: JsonValue, indent: int | None = None) -> str:
    """Return JSON text without invisible characters, which parses to the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an object; `name` is a pattern between slashes if it has no name."""

    name: str
    schema: JsonValue
    is_required: bool


def conjuncts(schema: JsonValue | Schema) -> list[Schema]:
    """Return the schemas that apply to a value at once: the schema itself, and the parts of its `allOf`."""
    if not isinstance(schema, Mapping):
        return []
    if "allOf" not in schema:
        return [schema]
    return [schema, *(one for part in listed(schema, "allOf") for one in conjuncts(part))]


def properties_of(schema: JsonValue | Schema) -> list[Property]:
    """Return the properties that every value of the schema may have, each once."""
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
    """Yield nested places with properties: `[]` items, `[0]` the first, `.*` values of a map, `(1)` an alternative."""
    for part in conjuncts(schema):
        yield from ((f"[{index}]", one) for index, one in enumerate(listed(part, "prefixItems")))
        yield from (("[]", part[key]) for key in ("items", "unevaluatedItems") if key in part)
        yield from ((".*", part[key]) for key in ("additionalProperties", "unevaluatedProperties") if key in part)
    yield from ((f"({number})", branch) for _, branches in unions_of(schema) for number, branch in branches)


def unions_of(schema: JsonValue | Schema) -> list[tuple[str, list[Alternative]]]:
    """Return each `anyOf` and `oneOf` that applies to a value, with its branches."""
    found = [(key, listed(part, key)) for part in conjuncts(schema) for key in _UNIONS if listed(part, key)]
    number = count(1)
    return [(key, [(next(number), branch) for branch in branches]) for key, branches in found]


def has_rows(schema: JsonValue | Schema) -> bool:
    """Return whether there is any property to show."""
    return bool(properties_of(schema)) or any(has_rows(part) for _, part in places_in(schema))


def listed(schema: Schema, key: str) -> list[JsonValue]:
    """Return the list under a key; an empty one if there is none."""
    found = schema.get(key)
    return found if isinstance(found, list) else []


def mapped(schema: Schema, key: str) -> dict[str, JsonValue]:
    """Return the object under a key; an empty one if there is none."""
    found = schema.get(key)
    return found if isinstance(found, dict) else {}


def _all_of(schemas: list[JsonValue]) -> JsonValue:
    return schemas[0] if len(schemas) == 1 else {"allOf": schemas}


def type_words(schema: JsonValue | Schema, definitions: Schema, level: int = 0) -> str:
    """Return the type in words: a definition with properties by its name, an alternative with rows by its number."""
    if not isinstance(schema, Mapping):
        return "nothing" if schema is False else ANY
    words = [_own_words(part, definitions, level) for part in conjuncts(schema)]
    for _, branches in unions_of(schema):
        words.append(" or ".join(dict.fromkeys(_branch_words(one, definitions, level + 1) for one in branches)))
    said = [one for one in dict.fromkeys(words) if one != ANY]
    # "object" adds nothing if another part names the object.
    if len(said) > 1 and not any(mapped(part, "properties") for part in conjuncts(schema)):
        said = [one for one in said if one != "object"]
    if len(said) < 2:
        return said[0] if said else ANY
    return " and ".join(f"({one})" if " or " in one else one for one in said)


def constraint_words(schema: JsonValue | Schema, definitions: Schema, seen: frozenset[str] = frozenset()) -> list[str]:
    """Return the constraints, one phrase each. A definition without properties contributes its own."""
    parts = conjuncts(schema)
    known = {name for part in parts for name in mapped(part, "properties")}
    words = [word for part in parts for word in _constraints(part, known, definitions, seen)]
    for key, branches in unions_of(schema):
        words += _of_branches(key, branches, definitions, seen)
    return list(dict.fromkeys(words))


def definition_of(schema: Schema, definitions: Schema) -> JsonValue:
    """Return the target of a reference; True if it is unknown."""
    return definitions.get(str(schema.get("$ref")).removeprefix(DEFINITIONS), True)


def _branch_words(alternative: Alternative, definitions: Schema, level: int) -> str:
    number, branch = alternative
    return type_words(branch, definitions, level) + (f" ({number})" if has_rows(branch) else "")


def _own_words(schema: Schema, definitions: Schema, level: int) -> str:
    if "const" in schema:
        return json_shown(schema["const"])
    if "enum" in schema:
        return " or ".join(json_shown(option) for option in listed(schema, "enum"))
    if "$ref" in schema:
        found = definition_of(schema, definitions)
        if has_rows(found) or level > _DEEPEST:
            return str(schema["$ref"]).removeprefix(DEFINITIONS)
        return type_words(found, definitions, level + 1)
    kinds = schema.get("type")
    return " or ".join(
        _kind_words(kind, schema, definitions, level) for kind in (kinds if isinstance(kinds, list) else [kinds])
    )


def _kind_words(kind: JsonValue, schema: Schema, definitions: Schema, level: int) -> str:
    form = schema.get("format")
    if kind == "array":
        return _list_words(schema, definitions, level)
    if kind == "object" and _is_map(schema):
        return f"map to {_inner_words(schema[_OTHERS[0]], definitions, level)}"
    if kind == "string" and isinstance(form, str):
        return f"string ({form})"
    return str(kind) if kind is not None else ANY


def _list_words(schema: Schema, definitions: Schema, level: int) -> str:
    prefix = [type_words(part, definitions, level + 1) for part in listed(schema, "prefixItems")]
    items = schema.get("items", schema.get("unevaluatedItems"))
    if not prefix:
        return f"list of {_inner_words(items, definitions, level)}" if isinstance(items, dict) else "list"
    rest = [] if items is False else [f"then {_inner_words(True if items is None else items, definitions, level)}"]
    return f"list of {', '.join([*prefix, *rest])}"


def _inner_words(schema: JsonValue, definitions: Schema, level: int) -> str:
    return type_words(schema, definitions, level + 1)


def _constraints(schema: Schema, known: set[str], definitions: Schema, seen: frozenset[str]) -> Iterator[str]:
    yield from _ranges(schema)
    yield from (f"{sign} {json_shown(schema[key])}" for key, sign in _BOUNDS.items() if key in schema)
    if "multipleOf" in schema:
        yield f"a multiple of {json_shown(schema['multipleOf'])}"
    if schema.get("uniqueItems") is True:
        yield "all different"
    if isinstance(schema.get("pattern"), str):
        yield f"matches {schema['pattern']}"
    if "format" in schema and "type" not in schema:
        yield f"format {schema['format']}"
    yield from _of_properties(schema, known, definitions, seen)
    yield from (f"{key}: {json_shown(value)}" for key, value in schema.items() if key not in _SAID)
    yield from _of_parts(schema, definitions, seen)
    if examples := listed(schema, "examples"):
        yield f"such as {', '.join(map(json_shown, examples))}"


def _of_properties(schema: Schema, known: set[str], definitions: Schema, seen: frozenset[str]) -> Iterator[str]:
    """Yield required names without a row, and the constraints on other properties."""
    if unknown := [str(name) for name in listed(schema, "required") if name not in known]:
        yield f"needs {', '.join(unknown)}"
    for name, needed in mapped(schema, "dependentRequired").items():
        yield f"{name} needs {', '.join(map(str, needed if isinstance(needed, list) else []))}"
    for key in _OTHERS:
        others = schema.get(key, False)
        words = constraint_words(others, definitions, seen)
        if _is_map(schema, key):
            yield from (f"each {word}" for word in words)
        elif others is not False:
            yield f"other properties: {', '.join([type_words(others, definitions), *words])}"


def _is_map(schema: Schema, key: str = _OTHERS[0]) -> bool:
    """Return whether the type already describes the values."""
    return key == _OTHERS[0] and isinstance(schema.get(key), dict) and not mapped(schema, "properties")


def _of_parts(schema: Schema, definitions: Schema, seen: frozenset[str]) -> Iterator[str]:
    """Yield the constraints on parts of the value."""
    for index, part in enumerate(listed(schema, "prefixItems")):
        yield from (f"[{index}] {word}" for word in constraint_words(part, definitions, seen))
    for key in ("items", "unevaluatedItems"):
        yield from (f"each {word}" for word in constraint_words(schema.get(key), definitions, seen))
    name = str(schema.get("$ref")).removeprefix(DEFINITIONS)
    if "$ref" in schema and name not in seen and not has_rows(found := definition_of(schema, definitions)):
        yield from constraint_words(found, definitions, seen | {name})


def _of_branches(key: str, branches: list[Alternative], definitions: Schema, seen: frozenset[str]) -> Iterator[str]:
    types = [_branch_words(one, definitions, 0) for one in branches]
    words = [", ".join(constraint_words(branch, definitions, seen)) for _, branch in branches]
    if all(words) and set(types) <= {ANY, "object"}:
        yield f"{'exactly one' if key == 'oneOf' else 'one or more'} of: {' | '.join(words)}"
    else:
        yield from (f"{kind}: {said}" for kind, said in zip(types, words, strict=True) if said)


def _ranges(schema: Schema) -> Iterator[str]:
    for least, most, noun in _RANGES:
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            counted = f"{low}" if low == high else f"{low} to {high}"
            yield f"{counted} {noun if high == 1 else _PLURALS[noun]}"
        elif low is not None:
            yield f"at least {low} {noun if low == 1 else _PLURALS[noun]}"
        elif high is not None:
            yield f"at most {high} {noun if high == 1 else _PLURALS[noun]}"
