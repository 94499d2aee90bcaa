"""The SQL of views: the type of each column, names and texts in quotes, and line breaks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from itertools import groupby

from pydantic import JsonValue
from server_jobs.contract.json_schema import Schema, definitions_of
from server_jobs.contract.values import path_of
from server_jobs.domain.record import JOB_COLUMNS

_DEFINITIONS = "#/$defs/"
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

# Keywords whose schemas apply to some values only.
_ALTERNATIVES = ("anyOf", "oneOf", "then", "else", "dependentSchemas")
PARTS = ("params", "result")
# A view keeps the order of its columns, because PostgreSQL replaces a view only if its new columns come last.
_IN_ORDER = (
    *("id", "status", "progress", "progress_message", "error", "attempt_count", "max_attempts"),
    *("queue", "priority", "correlation_id", "created_at", "scheduled_for"),
    *("worker_started_at", "completed_at", "updated_at", "spec_version"),
)
OWN_COLUMNS: Mapping[str, str] = {
    name: JOB_COLUMNS[name].view for name in dict.fromkeys((*_IN_ORDER, *JOB_COLUMNS)) if JOB_COLUMNS[name].view
}
"""The columns of the table, and their names in a view."""

TIMES = frozenset(name for name in OWN_COLUMNS if JOB_COLUMNS[name].type == "datetime")

# PostgreSQL silently cuts longer names.
_LONGEST_BYTES = 63
_DIGEST = 8
# The names of our tables, copied, because their module imports SQLAlchemy.
_TABLES = frozenset({"cron_jobs"})
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_LONGEST = 110
# Units that stay together: quoted text is one word.
_WORD = re.compile(r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s'"])+""")


class ColumnType(StrEnum):
    """The values of a column. `JSON` is for arrays and objects, and for values of several types."""

    TEXT = "text"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    DOUBLE = "double precision"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    UUID = "uuid"
    JSON = "json"


_FORMATS = {"date-time": ColumnType.TIMESTAMP, "date": ColumnType.DATE, "uuid": ColumnType.UUID}
_TEXTS = frozenset({ColumnType.TEXT, *_FORMATS.values()})
_INTEGERS = frozenset({ColumnType.BIGINT, ColumnType.NUMERIC})
_NUMBERS = _INTEGERS | {ColumnType.DOUBLE}


def column_type(schema: JsonValue, definitions: Schema) -> ColumnType:
    """Return the type for a schema whose references lead to these definitions, ignoring null."""
    return _common(_types(schema, definitions, frozenset()))


def properties_of(schema: JsonValue, definitions: Schema, seen: frozenset[str] = frozenset()) -> dict[str, JsonValue]:
    """Return the named properties of an object's schema, of its references and of its alternatives."""
    if not isinstance(schema, dict):
        return {}
    found: dict[str, JsonValue] = {}
    name = _referenced(schema)
    if name is not None and name not in seen:
        found |= properties_of(definitions.get(name), definitions, seen | {name})
    parts, properties = schema.get("allOf"), schema.get("properties")
    for part in parts if isinstance(parts, list) else ():
        found |= properties_of(part, definitions, seen)
    found |= properties if isinstance(properties, dict) else {}
    alternatives = _properties_of_alternatives(schema, definitions, seen)
    # The unconditional schema is narrower, and its columns stay in place when alternatives are added.
    return found | {name: part for name, part in alternatives.items() if name not in found}


def _properties_of_alternatives(schema: Schema, definitions: Schema, seen: frozenset[str]) -> dict[str, JsonValue]:
    """Return each property as any of its descriptions in the alternatives."""
    options: dict[str, list[JsonValue]] = {}
    for key in _ALTERNATIVES:
        for branch in _branches(key, schema.get(key)):
            for name, part in properties_of(branch, definitions, seen).items():
                options.setdefault(name, []).append(part)
    return {name: {"anyOf": parts} for name, parts in options.items()}


def _branches(key: str, value: JsonValue) -> list[JsonValue]:
    """Return the schemas under one of these keywords, whose value is a list, an object, or one schema."""
    if isinstance(value, list):
        return value
    return list(value.values()) if key == "dependentSchemas" and isinstance(value, dict) else [value]


def _types(schema: JsonValue, definitions: Schema, seen: frozenset[str]) -> set[ColumnType]:
    """Return the types of the values. Keywords beside each other narrow, so any one that gives types is enough."""
    if not isinstance(schema, dict):
        return set() if schema is False else {ColumnType.JSON}
    name = _referenced(schema)
    if name is not None:
        return {ColumnType.JSON} if name in seen else _types(definitions.get(name), definitions, seen | {name})
    if "const" in schema or isinstance(schema.get("enum"), list):
        values = schema.get("enum", [schema.get("const")])
        stated = (value for value in (values if isinstance(values, list) else []) if value is not None)
        return {_type_of_value(value, schema) for value in stated}
    if "type" in schema:
        return {_type_of_kind(kind, schema) for kind in _kinds(schema)}
    branches = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(branches, list):
        return set[ColumnType]().union(*(_types(branch, definitions, seen) for branch in branches))
    parts = schema.get("allOf")
    known = [_types(part, definitions, seen) for part in parts] if isinstance(parts, list) else []
    return next((types for types in known if types != {ColumnType.JSON}), {ColumnType.JSON})


def _referenced(schema: Schema) -> str | None:
    """Return the definition that a self-contained schema refers to, if it is a reference."""
    reference = schema.get("$ref")
    return reference.removeprefix(_DEFINITIONS) if isinstance(reference, str) else None


def _kinds(schema: Schema) -> set[str]:
    """Return the types that a schema states, without null; any number may be an integer."""
    stated = schema.get("type")
    kinds = {str(kind) for kind in (stated if isinstance(stated, list) else [stated])} - {"null"}
    return kinds - {"integer"} if "number" in kinds else kinds


def _type_of_kind(kind: str, schema: Schema) -> ColumnType:
    match kind:
        case "string":
            return _FORMATS.get(str(schema.get("format")), ColumnType.TEXT)
        case "integer":
            lowest = _bounds(schema, "minimum", "exclusiveMinimum")
            highest = _bounds(schema, "maximum", "exclusiveMaximum")
            fits = any(value >= _LOWEST for value in lowest) and any(value <= _HIGHEST for value in highest)
            return ColumnType.BIGINT if fits else ColumnType.NUMERIC
        case "number":
            return ColumnType.DOUBLE
        case "boolean":
            return ColumnType.BOOLEAN
        case _:
            return ColumnType.JSON


def _bounds(schema: Schema, *keywords: str) -> list[int | float]:
    return [value for key in keywords if isinstance(value := schema.get(key), int | float)]


def _type_of_value(value: JsonValue, schema: Schema) -> ColumnType:
    match value:
        case bool():
            return ColumnType.BOOLEAN
        case str():
            return _type_of_kind("string", schema)
        case float() if not value.is_integer():
            return ColumnType.DOUBLE
        case int() | float():
            return ColumnType.BIGINT if _LOWEST <= value <= _HIGHEST else ColumnType.NUMERIC
        case _:
            return ColumnType.JSON


def _common(types: Iterable[ColumnType]) -> ColumnType:
    found = frozenset(types)
    if len(found) == 1:
        return next(iter(found))
    if found and found <= _TEXTS:
        return ColumnType.TEXT
    if found and found <= _INTEGERS:
        return ColumnType.NUMERIC
    if found and found <= _NUMBERS:
        return ColumnType.DOUBLE
    return ColumnType.JSON


def typed_properties(schema: Schema) -> dict[str, ColumnType]:
    """Return the properties of a self-contained schema of params or result, with their column types."""
    known = definitions_of(schema)
    return {name: column_type(value, known) for name, value in properties_of(dict(schema), known).items()}


def redacted_properties(redact: Iterable[str]) -> frozenset[str] | None:
    """Return the properties of params with redacted values; None if all of params is redacted."""
    pointers = list(redact)
    if "" in pointers:
        return None
    return frozenset(path_of(pointer)[0] for pointer in pointers)


def view_name(spec_name: str) -> str:
    """Return the view's name of a job; `…_view` if a table of server-jobs has this name."""
    name = shortened(spec_name, "_jobs")
    return f"{name}_view" if name in _TABLES else name


def index_name(view: str, column: str) -> str:
    """Return the name of the index on one column of a view."""
    return shortened(f"{view}_{column}", "_idx")


def shortened(name: str, ending: str = "") -> str:
    """Return the name with its ending if PostgreSQL allows the length; else a prefix and a digest of the name."""
    if len(f"{name}{ending}".encode()) <= _LONGEST_BYTES:
        return f"{name}{ending}"
    room = _LONGEST_BYTES - len(ending.encode()) - _DIGEST - 1
    start = name.encode()[:room].decode("utf-8", "ignore")
    return f"{start}_{sha256(name.encode()).hexdigest()[:_DIGEST]}{ending}"


def can_be_indexed(json_name: str) -> bool:
    """Return whether SQLite can reach a property without a subquery, which an index cannot have."""
    return json_name.isprintable() and not {'"', "\\"} & set(json_name)


def identifier(name: str) -> str:
    """Return a name as both databases read it. Views and columns have endings that no reserved word has."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def postgresql_text(value: str) -> str:
    """Return a string constant that is correct for either value of `standard_conforming_strings`."""
    if value.isprintable() and "\\" not in value:
        return "'" + value.replace("'", "''") + "'"
    return "E'" + "".join(map(_postgresql_character, value)) + "'"


def sqlite_text(value: str) -> str:
    """Return a string constant, or an expression if the text has characters that a file would not preserve."""
    runs = groupby(value, str.isprintable)
    pieces = [piece for is_printable, run in runs for piece in (_quoted(run) if is_printable else map(_code, run))]
    return pieces[0] if len(pieces) == 1 else f"({' || '.join(pieces)})"


def _quoted(run: Iterable[str]) -> list[str]:
    return ["'" + "".join(run).replace("'", "''") + "'"]


def _code(character: str) -> str:
    return f"char({ord(character)})"


def _postgresql_character(character: str) -> str:
    if character in ("'", "\\"):
        return character * 2
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def folded(sql: str) -> str:
    """Return the same SQL in readable lines; a longer word stays whole."""
    return "\n".join(_folded_line(line) for line in sql.split("\n"))


def _folded_line(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines = [indent]
    for word in _WORD.findall(line):
        if len(lines[-1]) + len(word) >= _LONGEST and lines[-1].strip():
            lines.append(f"{indent}    ")
        lines[-1] += word if not lines[-1].strip() else f" {word}"
    return "\n".join(lines)
