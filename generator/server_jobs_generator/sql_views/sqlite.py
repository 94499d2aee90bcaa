"""The view of a job and its indexes on SQLite, and everything that speaks its SQL: Turso, D1.

A row whose JSON cannot be read, or has something else at a place than the spec says today, shows NULL there: it may be
of another version, or written by somebody else, and must not keep the others from being seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..spec import JobSpec
from .column_types import ColumnType
from .columns import ViewColumn, view_columns
from .folding import folded
from .names import can_be_indexed, identifier, index_name, sqlite_text, view_name
from .own_columns import OWN_COLUMNS, TIMES
from .sql_object import SqlObject

_ISO = "'%Y-%m-%dT%H:%M:%fZ'"
# What `strftime` takes for a time must not be `now`, which no index can hold. It does not know leap seconds.
_TIME = "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*'"


def sqlite_objects(job: JobSpec) -> Iterator[SqlObject]:
    """The indexes of a job, and its view."""
    view, columns = view_name(job.spec_name), view_columns(job)
    for column in columns:
        if column.is_indexed:
            yield SqlObject(folded(_index(job, view, column)))
    yield SqlObject(folded(_view(job, view, columns)))


def _view(job: JobSpec, view: str, columns: tuple[ViewColumn, ...]) -> str:
    shown = [f"{_own(name)} AS {alias}" if _own(name) != alias else alias for name, alias in OWN_COLUMNS.items()]
    shown += [f"{_shown(column)} AS {identifier(column.name)}" for column in columns]
    lines = ",\n    ".join(shown)
    return (
        f"CREATE VIEW {view} AS\nSELECT\n    {lines}\nFROM (\n"
        f"    SELECT *, {_document('params')} AS params_json, {_document('result')} AS result_json\n"
        f"    FROM jobs\n    WHERE job_name = {sqlite_text(job.class_name)}\n)"
    )


def _index(job: JobSpec, view: str, column: ViewColumn) -> str:
    name, value = identifier(index_name(view, column.name)), _value(column, _document(column.part))
    return f"CREATE INDEX {name} ON jobs (\n    {value}\n) WHERE job_name = {sqlite_text(job.class_name)}"


def _shown(column: ViewColumn) -> str:
    """A column with an index is shown by the very expression of the index, so that queries can use it."""
    return _value(column, _document(column.part) if column.is_indexed else f"{column.part}_json")


def _own(name: str) -> str:
    return f"strftime({_ISO}, {name} / 1000.0, 'unixepoch')" if name in TIMES else name


def _document(part: str) -> str:
    """JSON that can be read, or NULL: any function of JSON would fail at other text."""
    return f"iif(json_valid({part}), {part}, NULL)"


def _value(column: ViewColumn, document: str) -> str:
    if can_be_indexed(column.json_name):
        path = sqlite_text(f'$."{column.json_name}"')
        kind, value = f"json_type({document}, {path})", f"json_extract({document}, {path})"
        return _typed(column.type, kind, value, raw=f"{document} -> {path}")
    value = _typed(column.type, "type", "value", raw="json_quote(value)")
    return f"(SELECT {value} FROM json_each({document}) WHERE key = {sqlite_text(column.json_name)})"


def _typed(column_type: ColumnType, kind: str, value: str, *, raw: str) -> str:
    """The value if it is of the type, else NULL; `raw` is the same as JSON text."""
    match column_type:
        case ColumnType.TEXT | ColumnType.DATE | ColumnType.UUID:
            return f"CASE {kind} WHEN 'text' THEN {value} END"
        case ColumnType.TIMESTAMP:
            time = f"coalesce(strftime({_ISO}, upper({value})), {value})"
            return f"CASE WHEN {kind} = 'text' AND upper({value}) GLOB {_TIME} THEN {time} END"
        case ColumnType.BIGINT | ColumnType.NUMERIC:
            # An integer of more than 64 bits would be rounded: it is shown as text. 1.0 is an integer, too.
            exact = f"iif(typeof({value}) = 'integer', {value}, {raw})"
            whole = f"iif(CAST({value} AS INTEGER) = {value}, CAST({value} AS INTEGER), NULL)"
            return f"CASE {kind} WHEN 'integer' THEN {exact} WHEN 'real' THEN {whole} END"
        case ColumnType.DOUBLE:
            return f"CASE WHEN {kind} IN ('integer', 'real') THEN CAST({value} AS REAL) END"
        case ColumnType.BOOLEAN:
            return f"CASE WHEN {kind} IN ('true', 'false') THEN {value} END"
        case ColumnType.JSON:
            return f"CASE WHEN {kind} <> 'null' THEN {raw} END"
