"""The properties of params, of a result, or of a definition, as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.contract.json_schema import DEFINITIONS, Schema, definitions_of

from ...ir.spec import JobSpec
from .schema_words import ANY, constraint_words, definition_of, type_words
from .shown_text import json_shown, one_line, visible
from .structure import conjuncts, has_rows, listed, places_in, properties_of


@dataclass(frozen=True, slots=True)
class Row:
    """A property: `name` leads from the outside in, `.` between names.

    `[]` stands behind a list, `*` for any other name, `/^x-/` for those that match, `(2)` for the second alternative.
    """

    name: str
    type: str
    is_required: bool
    constraints: str
    default: str
    description: str
    is_deprecated: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The properties of something; `summary` is what is said of all of it at once, if there is anything to be said."""

    title: str
    description: str
    summary: str
    rows: tuple[Row, ...]


def tables_of(job: JobSpec) -> Iterator[Table]:
    """Those of params and result, then of each definition that has properties.

    No title is the name of a job, or that of another table, so that each can be linked to.
    """
    definitions = dict(sorted({**definitions_of(job.params), **definitions_of(job.result)}.items()))
    for kind, schema in (("Params", job.params), ("Result", job.result)):
        # Their examples stand by themselves.
        shown = {key: value for key, value in schema.items() if key != "examples"}
        yield _table(f"{kind} of {job.class_name}", shown, definitions)
    for name, found in definitions.items():
        if has_rows(found):
            yield _table(f"{one_line(name)} in {job.class_name}", found, definitions)


def _table(title: str, schema: JsonValue | Schema, definitions: Schema) -> Table:
    whole = _with_bases(schema, definitions, frozenset())
    kind = type_words(whole, definitions)
    words = [*([kind] if kind not in ("object", ANY) else []), *constraint_words(whole, definitions)]
    return Table(title, _description(schema, definitions), one_line("; ".join(words)), tuple(_rows(whole, definitions)))


def _with_bases(schema: JsonValue | Schema, definitions: Schema, seen: frozenset[str]) -> JsonValue:
    """The schema with that in it which it takes over from definitions."""
    if not isinstance(schema, Mapping):
        return schema
    reference, bases = schema.get("$ref"), listed(schema, "allOf")
    if isinstance(reference, str) and (name := reference.removeprefix(DEFINITIONS)) not in seen:
        bases = [definition_of(schema, definitions), *bases]
        seen |= {name}
    if not bases:
        return dict(schema)
    whole = [_with_bases(base, definitions, seen) for base in bases]
    return {**{key: value for key, value in schema.items() if key != "$ref"}, "allOf": whole}


def _rows(schema: JsonValue | Schema, definitions: Schema, path: str = "") -> Iterator[Row]:
    for one in properties_of(schema):
        name = _below(path, f".{one_line(one.name)}")
        yield Row(
            name=name,
            type=one_line(type_words(one.schema, definitions)),
            is_required=one.is_required,
            constraints=one_line("; ".join(constraint_words(one.schema, definitions))),
            default=next((json_shown(value) for value in _said("default", one.schema, definitions)), ""),
            description=one_line(_description(one.schema, definitions)),
            is_deprecated=True in _said("deprecated", one.schema, definitions),
        )
        yield from _rows(one.schema, definitions, name)
    for place, part in places_in(schema):
        yield from _rows(part, definitions, _below(path, place))


def _below(path: str, step: str) -> str:
    return f"{path}{step}" if path else step.removeprefix(".")


def _description(schema: JsonValue | Schema, definitions: Schema) -> str:
    """What it is called and what is said of it, by a definition if it says nothing itself."""
    title = next(iter(_said("title", schema, definitions)), "")
    text = next(iter(_said("description", schema, definitions)), "")
    return ": ".join(visible(str(part)) for part in (title, text) if part)


def _said(key: str, schema: JsonValue | Schema, definitions: Schema) -> list[JsonValue]:
    """What a schema and its parts say under a key; then the definitions they refer to, if those have no table."""
    parts = conjuncts(schema)
    behind = [definition_of(part, definitions) for part in parts if "$ref" in part]
    parts += [found for found in behind if isinstance(found, dict) and not has_rows(found)]
    return [part[key] for part in parts if key in part]
