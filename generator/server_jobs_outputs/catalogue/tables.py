"""The properties of params, of a result, or of a definition, as table rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.contract.json_schema import DEFINITIONS, Schema, definitions_of
from server_jobs_generator.ir.spec import JobSpec

from .schema_words import (
    ANY,
    conjuncts,
    constraint_words,
    definition_of,
    has_rows,
    json_shown,
    listed,
    one_line,
    places_in,
    properties_of,
    type_words,
    visible,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A property: `name` is its path from the outside in, with `.` between names.

    `[]` stands for the items of a list, `*` for any other name, `/^x-/` for matching names, `(2)` for the second
    alternative.
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
    """The properties of a schema; `summary` describes the whole schema, if there is anything to say."""

    title: str
    description: str
    summary: str
    rows: tuple[Row, ...]


def tables_of(job: JobSpec) -> Iterator[Table]:
    """Yield the tables of params and of the result, if any, then of each definition that has properties.

    Titles are unique and differ from job names, so that each can be a link target.
    """
    definitions = dict(sorted({**definitions_of(job.params), **definitions_of(job.result)}.items()))
    parts = [("Params", job.params), *([("Result", job.result)] if job.has_result else [])]
    for kind, schema in parts:
        # Examples of params and result have their own section.
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
    """Return the schema merged with the definitions that it extends."""
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
    """Return the title and description of a schema, or else of its definition."""
    title = next(iter(_said("title", schema, definitions)), "")
    text = next(iter(_said("description", schema, definitions)), "")
    return ": ".join(visible(str(part)) for part in (title, text) if part)


def _said(key: str, schema: JsonValue | Schema, definitions: Schema) -> list[JsonValue]:
    """Return the values of a keyword in a schema and its parts; then in definitions without a table."""
    parts = conjuncts(schema)
    behind = [definition_of(part, definitions) for part in parts if "$ref" in part]
    parts += [found for found in behind if isinstance(found, dict) and not has_rows(found)]
    return [part[key] for part in parts if key in part]
