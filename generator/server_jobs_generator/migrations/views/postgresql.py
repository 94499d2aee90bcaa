"""The view of a job, its indexes, and the functions that both use, on PostgreSQL.

A row whose JSON cannot be read, or has something else at a place than the spec says today, shows NULL there: it may be
of another version, or written by somebody else, and must neither keep the others from being seen nor, with an index,
be refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.spec import JobSpec
from ...ir.view_columns import ViewColumn, view_columns
from ...sql.column_types import ColumnType
from ...sql.folding import folded
from ...sql.own_columns import OWN_COLUMNS
from ...sql.sql_names import identifier, index_name, postgresql_text, view_name
from .sql_object import SqlObject

# Not marked as safe for parallel plans: catching an error starts a subtransaction, which those do not allow.
_CATCHING = """\
CREATE FUNCTION {name}({argument}) RETURNS {type} LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN {value};
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$"""
_PLAIN = """\
CREATE FUNCTION {name}(value jsonb) RETURNS {type} LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT {value}
$$"""
_NAMES = {
    ColumnType.TEXT: "server_jobs_text",
    ColumnType.BIGINT: "server_jobs_bigint",
    ColumnType.NUMERIC: "server_jobs_numeric",
    ColumnType.DOUBLE: "server_jobs_double",
    ColumnType.BOOLEAN: "server_jobs_boolean",
    ColumnType.TIMESTAMP: "server_jobs_timestamp",
    ColumnType.DATE: "server_jobs_date",
    ColumnType.UUID: "server_jobs_uuid",
    ColumnType.JSON: "server_jobs_value",
}
_JSON, _KEY = "server_jobs_json", "server_jobs_key"
_TEXT = "value #>> '{}'"
_WHOLE = "trunc(value::numeric) = value::numeric"
_IN_RANGE = f"BETWEEN {-(2**63)} AND {2**63 - 1}"
_UUID = "'^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'"
# Times with a zone only, and no words such as `now`: the same on every server, as an index needs it.
_TIME = "'^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'"
# Drivers know no others, and one of them would keep all rows from being seen.
_YEARS = "BETWEEN timestamptz '0001-01-01T00:00:00Z' AND timestamptz '9999-12-31T23:59:59.999999Z'"
_DATE = "'^[0-9]{4}-[0-9]{2}-[0-9]{2}$'"


def postgresql_functions() -> Iterator[SqlObject]:
    """All functions, whichever are used today."""
    for name, one_type, value in (
        (_NAMES[ColumnType.TEXT], "text", f"CASE jsonb_typeof(value) WHEN 'string' THEN {_TEXT} END"),
        # An entry of an index has room for 2,700 bytes; more would make the INSERT fail.
        (_KEY, "text", f"CASE WHEN jsonb_typeof(value) = 'string' AND octet_length({_TEXT}) <= 2600 THEN {_TEXT} END"),
        (_NAMES[ColumnType.BIGINT], "bigint", _number("bigint", f"{_WHOLE} AND value::numeric {_IN_RANGE}")),
        (_NAMES[ColumnType.NUMERIC], "numeric", _number("numeric", f"{_WHOLE} AND octet_length({_TEXT}) <= 4200")),
        (_NAMES[ColumnType.BOOLEAN], "boolean", "CASE jsonb_typeof(value) WHEN 'boolean' THEN value::boolean END"),
        (_NAMES[ColumnType.UUID], "uuid", f"CASE WHEN {_TEXT} ~ {_UUID} THEN ({_TEXT})::uuid END"),
        (_NAMES[ColumnType.JSON], "jsonb", "nullif(value, 'null')"),
    ):
        yield SqlObject(folded(_PLAIN.format(name=name, type=one_type, value=value)))
    yield SqlObject(_CATCHING.format(name=_JSON, argument="document text", type="jsonb", value="document::jsonb"))
    for column_type, one_type, value in (
        (ColumnType.DOUBLE, "double precision", f"CASE jsonb_typeof(value) WHEN 'number' THEN ({_TEXT})::float8 END"),
        (ColumnType.TIMESTAMP, "timestamptz", f"CASE WHEN {_TEXT} ~ {_TIME} THEN {_within_years(_TEXT)} END"),
        (ColumnType.DATE, "date", f"CASE WHEN {_TEXT} ~ {_DATE} THEN ({_TEXT})::date END"),
    ):
        text = _CATCHING.format(name=_NAMES[column_type], argument="value jsonb", type=one_type, value=value)
        yield SqlObject(folded(text))


def postgresql_objects(job: JobSpec) -> Iterator[SqlObject]:
    """The indexes of a job, and its view."""
    view, columns = view_name(job.spec_name), view_columns(job)
    for column in columns:
        if column.is_indexed:
            yield SqlObject(folded(_index(job, view, column)))
    yield SqlObject(folded(_view(job, view, columns)))


def _within_years(value: str) -> str:
    return f"CASE WHEN ({value})::timestamptz {_YEARS} THEN ({value})::timestamptz END"


def _number(one_type: str, condition: str) -> str:
    return f"CASE jsonb_typeof(value) WHEN 'number' THEN CASE WHEN {condition} THEN value::{one_type} END END"


def _view(job: JobSpec, view: str, columns: tuple[ViewColumn, ...]) -> str:
    shown = [f"jobs.{name}" if name == alias else f"jobs.{name} AS {alias}" for name, alias in OWN_COLUMNS.items()]
    shown += [f"{_shown(column)} AS {identifier(column.name)}" for column in columns]
    lines = ",\n    ".join(shown)
    # The document is read once a row, and not once a column: OFFSET keeps the planner from pulling it up.
    return (
        f"CREATE VIEW {view} AS\nSELECT\n    {lines}\nFROM jobs\nCROSS JOIN LATERAL (\n"
        f"    SELECT {_JSON}(jobs.params) AS params, {_JSON}(jobs.result) AS result OFFSET 0\n"
        f") AS document\nWHERE jobs.job_name = {postgresql_text(job.class_name)}"
    )


def _index(job: JobSpec, view: str, column: ViewColumn) -> str:
    name, value = identifier(index_name(view, column.name)), _value(column, f"{_JSON}({column.part})")
    return f"CREATE INDEX {name} ON jobs (\n    ({value})\n) WHERE job_name = {postgresql_text(job.class_name)}"


def _shown(column: ViewColumn) -> str:
    """A column with an index is shown by the very expression of the index, so that queries can use it."""
    return _value(column, f"{_JSON}(jobs.{column.part})" if column.is_indexed else f"document.{column.part}")


def _value(column: ViewColumn, document: str) -> str:
    is_key = column.is_indexed and column.type is ColumnType.TEXT
    function = _KEY if is_key else _NAMES[column.type]
    return f"{function}({document} -> {postgresql_text(column.json_name)})"
