"""The fields of a form, from the JSON Schema of params."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue
from server_jobs.contract.json_schema import DEFINITIONS, Schema, definitions_of

_DEEPEST = 6
_LONG = 200
_SCALARS = ("string", "integer", "number")


class Kind(StrEnum):
    """How a value is entered. `LINES` is a list of scalars, one per line; `JSON` is any other value."""

    TEXT = "text"
    LONG = "long"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    TIME = "time"
    LINES = "lines"
    OBJECT = "object"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `pointer` is its place in the params; `hint` says which values fit.

    `choices` are JSON texts. `item` is the type of the elements of a list. `may_be_null`: the schema allows null.
    `may_be_empty`: it needs a text, and allows the empty one.
    """

    pointer: str
    label: str
    kind: Kind
    is_required: bool
    may_be_null: bool = False
    may_be_empty: bool = False
    about: str = ""
    hint: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    item: str = ""
    children: tuple[Field, ...] = ()

    @property
    def name(self) -> str:
        """The name of the input."""
        return f"p{self.pointer}"

    @property
    def empty_name(self) -> str:
        """The name of the box that says that the text is empty on purpose."""
        return f"e{self.pointer}"

    @property
    def id(self) -> str:
        """The id of the input, without characters that a selector would read."""
        return "p" + "".join(letter if letter.isalnum() else f"-{ord(letter):x}-" for letter in self.pointer)

    def all(self) -> Iterator[Field]:
        """Yield this field and those inside."""
        yield self
        for child in self.children:
            yield from child.all()


def fields_of(schema: Schema) -> Field:
    """Return the field of the whole params. Its kind is `OBJECT` unless the schema has no properties to show."""
    return _field("", "Params", schema, definitions_of(schema), is_required=True, depth=0)


def _field(
    pointer: str, label: str, schema: JsonValue | Schema, definitions: Schema, *, is_required: bool, depth: int
) -> Field:
    given = schema if isinstance(schema, Mapping) else {}
    found, may_be_null = _resolved(given, definitions)
    kind, item = _kind(found, definitions, depth)
    children: tuple[Field, ...] = ()
    if kind is Kind.OBJECT:
        required = found.get("required")
        names = required if isinstance(required, list) else []
        properties = found["properties"]
        assert isinstance(properties, dict)  # noqa: S101  `_kind` looked
        children = tuple(
            _field(f"{pointer}/{_escaped(name)}", name, part, definitions, is_required=name in names, depth=depth + 1)
            for name, part in properties.items()
        )
    return Field(
        pointer=pointer,
        label=label,
        kind=kind,
        is_required=is_required,
        may_be_null=may_be_null,
        may_be_empty=is_required
        and not may_be_null
        and kind in (Kind.TEXT, Kind.LONG)
        and not found.keys() & {"format", "pattern"}
        and not found.get("minLength"),
        about=_text(found.get("description")),
        hint=", ".join(_hints(found, kind)),
        default=_default(found.get("default")),
        choices=_choices(found) if kind is Kind.CHOICE else (),
        item=item,
        children=children,
    )


def _resolved(schema: Mapping[str, JsonValue], definitions: Schema) -> tuple[Mapping[str, JsonValue], bool]:
    """Follow references, and take the only alternative besides null. Return whether null is allowed too."""
    found, may_be_null = schema, False
    for _ in range(_DEEPEST):
        inner = _inner(found, definitions)
        if inner is None:
            break
        part, has_null = inner
        outer = {name: value for name, value in found.items() if name not in ("$ref", "allOf", "anyOf", "oneOf")}
        found, may_be_null = {**part, **outer}, may_be_null or has_null
    kinds = found.get("type")
    if isinstance(kinds, list) and "null" in kinds and len(kinds) == 2:
        found, may_be_null = {**found, "type": next(one for one in kinds if one != "null")}, True
    return found, may_be_null


def _inner(schema: Mapping[str, JsonValue], definitions: Schema) -> tuple[Mapping[str, JsonValue], bool] | None:
    """Return the schema that this one stands for, and whether null is another alternative."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(DEFINITIONS):
        part = definitions.get(reference.removeprefix(DEFINITIONS))
        return (part, False) if isinstance(part, dict) else None
    for word in ("allOf", "anyOf", "oneOf"):
        parts = schema.get(word)
        if isinstance(parts, list):
            others = [part for part in parts if isinstance(part, dict) and part.get("type") != "null"]
            if len(others) == 1 and (word != "allOf" or len(parts) == 1):
                return others[0], len(parts) > 1
    return None


def _kind(schema: Mapping[str, JsonValue], definitions: Schema, depth: int) -> tuple[Kind, str]:
    """Return the kind of a schema, and the type of elements for a list of scalars."""
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        return Kind.CHOICE, ""
    if any(word in schema for word in ("$ref", "allOf", "anyOf", "oneOf")):
        return Kind.JSON, ""
    if kind == "object" and isinstance(schema.get("properties"), dict) and schema["properties"] and depth < _DEEPEST:
        return Kind.OBJECT, ""
    if kind == "array":
        items = schema.get("items")
        element, may_be_null = _resolved(items, definitions) if isinstance(items, dict) else ({}, False)
        item = element.get("type")
        is_scalar = isinstance(item, str) and item in _SCALARS and not may_be_null
        return (Kind.LINES, str(item)) if is_scalar else (Kind.JSON, "")
    if kind == "string":
        longest = schema.get("maxLength")
        if schema.get("format") == "date-time":
            return Kind.TIME, ""
        is_long = isinstance(longest, int) and longest > _LONG
        return (Kind.LONG if is_long else Kind.TEXT), ""
    simple = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}
    return (simple.get(kind, Kind.JSON) if isinstance(kind, str) else Kind.JSON), ""


_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
)


def _hints(schema: Mapping[str, JsonValue], kind: Kind) -> Iterator[str]:
    if kind is Kind.LINES:
        yield "one per line"
    if kind is Kind.TIME:
        yield "with a time zone, such as 2026-01-31T09:00:00Z"
    if kind is Kind.JSON:
        yield "JSON"
    form = schema.get("format")
    if kind is Kind.TEXT and isinstance(form, str):
        yield form
    for word, text in _BOUNDS:
        bound = schema.get(word)
        if isinstance(bound, int | float):
            yield text.format(f"{bound:,}").replace("1 characters", "1 character")


def _choices(schema: Mapping[str, JsonValue]) -> tuple[str, ...]:
    values = schema.get("enum")
    found = values if isinstance(values, list) else [schema.get("const")]
    return tuple(json.dumps(value, ensure_ascii=False) for value in found)


def _default(value: JsonValue | None) -> str:
    """Return a default for reading; nothing for null and for empty values."""
    if value is None or value == "" or value == [] or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: JsonValue | None) -> str:
    return value if isinstance(value, str) else ""


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
