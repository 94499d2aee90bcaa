"""A schema in the words of a table: what type a value has, and what else has to be true of it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from server_jobs.json_schema import DEFINITIONS, Schema

from .shown_text import json_shown

_RANGES = (
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
    ("minProperties", "maxProperties", "property"),
)
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_PLURALS = {"character": "characters", "item": "items", "property": "properties"}
# What other columns, or the type, say already.
_SAID = frozenset(
    {
        *("$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "deprecated", "description"),
        *("discriminator", "enum", "examples", "format", "items", "oneOf", "prefixItems", "properties", "required"),
        *("title", "type", "pattern", "multipleOf", "uniqueItems", *_BOUNDS),
        *(keyword for least, most, _ in _RANGES for keyword in (least, most)),
    }
)


def type_words(schema: JsonValue | Schema, definitions: Schema, level: int = 0) -> str:
    """The type in words; a definition with properties by its name."""
    if not isinstance(schema, Mapping):
        return "nothing" if schema is False else "any value"
    if "const" in schema:
        return json_shown(schema["const"])
    options = schema.get("enum")
    if isinstance(options, list):
        return " or ".join(json_shown(option) for option in options)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(DEFINITIONS)
        found = definitions.get(name, True)
        return name if has_rows(found) or level > 5 else type_words(found, definitions, level + 1)
    for key, word in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        branches = schema.get(key)
        if isinstance(branches, list) and branches:
            return word.join(dict.fromkeys(type_words(branch, definitions, level + 1) for branch in branches))
    kinds = schema.get("type")
    listed = kinds if isinstance(kinds, list) else [kinds]
    return " or ".join(_kind_words(kind, schema, definitions, level) for kind in listed)


def constraint_words(schema: JsonValue | Schema, definitions: Schema) -> list[str]:
    """What else has to be true, one phrase each; those of a definition without properties are among them."""
    if not isinstance(schema, Mapping):
        return []
    words = [*_ranges(schema), *(f"{sign} {json_shown(schema[key])}" for key, sign in _BOUNDS.items() if key in schema)]
    if "multipleOf" in schema:
        words.append(f"a multiple of {json_shown(schema['multipleOf'])}")
    if schema.get("uniqueItems") is True:
        words.append("all different")
    if isinstance(schema.get("pattern"), str):
        words.append(f"matches {schema['pattern']}")
    words += [f"{key}: {json_shown(value)}" for key, value in schema.items() if key not in _SAID]
    items = schema.get("items")
    words += [f"each {word}" for word in constraint_words(items, definitions)] if isinstance(items, dict) else []
    reference = schema.get("$ref")
    found = definitions.get(reference.removeprefix(DEFINITIONS)) if isinstance(reference, str) else None
    return words + ([] if has_rows(found) else constraint_words(_without_reference(found), definitions))


def has_rows(schema: JsonValue | Schema) -> bool:
    """Whether a schema has properties to be told one by one."""
    return isinstance(schema, Mapping) and bool(schema.get("properties"))


def _kind_words(kind: JsonValue, schema: Schema, definitions: Schema, level: int) -> str:
    prefix, items, form = schema.get("prefixItems"), schema.get("items"), schema.get("format")
    if kind == "array" and isinstance(prefix, list):
        return f"list of {', '.join(type_words(part, definitions, level + 1) for part in prefix)}"
    if kind == "array":
        return f"list of {type_words(items, definitions, level + 1)}" if isinstance(items, dict) else "list"
    if kind == "object" and not has_rows(schema) and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {type_words(schema['additionalProperties'], definitions, level + 1)}"
    if kind == "string" and isinstance(form, str):
        return f"string ({form})"
    return str(kind) if kind is not None else "any value"


def _ranges(schema: Schema) -> list[str]:
    words: list[str] = []
    for least, most, noun in _RANGES:
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            counted = f"{low}" if low == high else f"{low} to {high}"
            words.append(f"{counted} {noun if high == 1 else _PLURALS[noun]}")
        elif low is not None:
            words.append(f"at least {low} {noun if low == 1 else _PLURALS[noun]}")
        elif high is not None:
            words.append(f"at most {high} {noun if high == 1 else _PLURALS[noun]}")
    return words


def _without_reference(schema: JsonValue) -> JsonValue:
    """A definition that refers to another one is not followed any further."""
    return {key: value for key, value in schema.items() if key != "$ref"} if isinstance(schema, dict) else schema
