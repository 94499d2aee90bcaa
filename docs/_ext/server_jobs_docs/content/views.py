"""The columns of the SQL views of jobs, from the generator."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import JsonValue
from server_jobs.schema import jobs
from server_jobs_generator.migrations.declared_state import postgresql_functions
from server_jobs_generator.sql import OWN_COLUMNS, ColumnType, column_type

from ..markdown import code, table

Schema = Mapping[str, JsonValue]

SQLITE_TYPES: Mapping[ColumnType, str] = {
    ColumnType.TEXT: "text",
    ColumnType.BIGINT: "integer",
    ColumnType.NUMERIC: "integer; beyond 64 bits its digits, as text",
    ColumnType.DOUBLE: "real, exact to 15 digits",
    ColumnType.BOOLEAN: "0 or 1",
    ColumnType.TIMESTAMP: "text such as `2026-03-01T07:30:00.000Z`, in UTC",
    ColumnType.DATE: "text",
    ColumnType.UUID: "text, in lower case",
    ColumnType.JSON: "JSON text",
}

EXAMPLES: tuple[Schema, ...] = (
    {"type": "string"},
    {"type": "integer", "minimum": 0, "maximum": 1000},
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid"},
    {"type": ["string", "null"]},
    {"enum": ["small", "large"]},
    {"type": "array", "items": True},
    {"type": "object", "additionalProperties": True},
    {"type": ["string", "integer"]},
)

_FUNCTION = re.compile(r"CREATE FUNCTION server_jobs_(\w+)\(value jsonb\) RETURNS (.+?) LANGUAGE")
_FUNCTION_NAMES = {ColumnType.DOUBLE: "double", ColumnType.JSON: "value"}


def own_columns() -> str:
    """Return the table of the columns that every view has."""
    rows = ((code(alias), code(name), jobs.c[name].doc or "") for name, alias in OWN_COLUMNS.items())
    return table(("Column of a view", "Column of `jobs`", "Meaning"), rows)


def property_types() -> str:
    """Return the table of schemas and their column types."""
    return table(("Schema of the property", "PostgreSQL", "SQLite, Turso, D1"), map(_row, EXAMPLES))


def _row(schema: Schema) -> tuple[str, str, str]:
    kind = column_type(dict(schema), {})
    return code(json.dumps(schema)), code(postgresql_type(kind)), SQLITE_TYPES[kind]


def postgresql_type(kind: ColumnType) -> str:
    """Return the return type of the function in the view."""
    texts = " ".join(" ".join(one.create.split()) for one in postgresql_functions())
    returned = dict(_FUNCTION.findall(texts))
    return str(returned[_FUNCTION_NAMES.get(kind, kind.value)])
