"""The view of a job and its indexes on SQLite, and everything that speaks its SQL: Turso, D1.

A row whose JSON cannot be read, or has something else at a place than the spec says today, shows NULL there: it may be
of another version, or written by somebody else, and must not keep the others from being seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.spec import JobSpec
from ...ir.view_columns import ViewColumn, view_columns
from ...sql.column_types import ColumnType
from ...sql.folding import folded
from ...sql.own_columns import OWN_COLUMNS, TIMES
from ...sql.sql_names import can_be_indexed, identifier, index_name, sqlite_text, view_name
from .sql_object import SqlObject

_ISO = "'%Y-%m-%dT%H:%M:%fZ'"
# D1 takes no pattern of more than 50 bytes: https://developers.cloudflare.com/d1/platform/limits/
_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
# Nothing but such texts may reach `strftime`, which takes `now` for a time as well, and that no index can hold. Whether
# the day is one is looked at beside.
_TIME = "????-??-??T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z+-]*"
_OFFSET = "*[+-][0-9][0-9]:[0-9][0-9]"
_UUID = "????????-????-????-????-????????????"
# Their rules ask for the value several times.
_LONG = frozenset({ColumnType.TIMESTAMP, ColumnType.DATE, ColumnType.UUID, ColumnType.BIGINT, ColumnType.NUMERIC})


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
    name, value = identifier(index_name(view, column.name)), _inline(column, _document(column.part))
    return f"CREATE INDEX {name} ON jobs (\n    {value}\n) WHERE job_name = {sqlite_text(job.class_name)}"


def _shown(column: ViewColumn) -> str:
    """A column with an index is shown by the very expression of the index, so that queries can use it."""
    if column.is_indexed:
        return _inline(column, _document(column.part))
    document = f"{column.part}_json"
    if not can_be_indexed(column.json_name):
        name = sqlite_text(column.json_name)
        rules = _typed(column.type, "type", _written(column.type, "value"), raw="json_quote(value)")
        return f"(SELECT {rules} FROM json_each({document}) WHERE key = {name})"
    return _named(column, document) if column.type in _LONG else _inline(column, document)


def _own(name: str) -> str:
    return f"strftime({_ISO}, {name} / 1000.0, 'unixepoch')" if name in TIMES else name


def _document(part: str) -> str:
    """JSON that can be read, or NULL: any function of JSON would fail at other text."""
    return f"iif(json_valid({part}), {part}, NULL)"


def _inline(column: ViewColumn, document: str) -> str:
    kind, value, raw = _parts(column, document)
    return _typed(column.type, kind, value, raw=raw)


def _named(column: ViewColumn, document: str) -> str:
    """The same in a subquery, which an index cannot have: shorter, and each part is computed once."""
    kind, value, raw = _parts(column, document)
    parts = f"{kind} AS type, {value} AS value"
    parts += f", {raw} AS raw" if column.type is ColumnType.NUMERIC else ""
    return f"(SELECT {_typed(column.type, 'type', 'value', raw='raw')} FROM (SELECT {parts}))"


def _parts(column: ViewColumn, document: str) -> tuple[str, str, str]:
    """The type of a property, its value, and the same as JSON text."""
    path = sqlite_text(f'$."{column.json_name}"')
    value = _written(column.type, f"json_extract({document}, {path})")
    return f"json_type({document}, {path})", value, f"{document} -> {path}"


def _written(column_type: ColumnType, value: str) -> str:
    """The value as the rules for it expect it: `T` and `Z` of a time can be small letters."""
    return f"upper({value})" if column_type is ColumnType.TIMESTAMP else value


def _typed(column_type: ColumnType, kind: str, value: str, *, raw: str) -> str:
    """The value if it is of the type, else NULL; `raw` is the same as JSON text."""
    match column_type:
        case ColumnType.TEXT:
            return f"CASE {kind} WHEN 'text' THEN {value} END"
        case ColumnType.DATE:
            return f"CASE WHEN {kind} = 'text' AND {value} GLOB '{_DATE}' AND {_is_day(value)} THEN {value} END"
        case ColumnType.UUID:
            digits = f"{value} NOT GLOB '*[^0-9A-Fa-f-]*' AND length(replace({value}, '-', '')) = 32"
            return f"CASE WHEN {kind} = 'text' AND {value} GLOB '{_UUID}' AND {digits} THEN lower({value}) END"
        case ColumnType.TIMESTAMP:
            return f"CASE WHEN {kind} = 'text' AND {_is_time(value)} THEN {_time(value)} END"
        case ColumnType.BIGINT | ColumnType.NUMERIC:
            # An integer of more than 64 bits would be rounded: it is shown as text. 1.0 is an integer, too.
            large = raw if column_type is ColumnType.NUMERIC else "NULL"
            exact = f"iif(typeof({value}) = 'integer', {value}, {large})"
            whole = f"iif(CAST({value} AS INTEGER) = {value}, CAST({value} AS INTEGER), NULL)"
            return f"CASE {kind} WHEN 'integer' THEN {exact} WHEN 'real' THEN {whole} END"
        case ColumnType.DOUBLE:
            number = f"CAST({value} AS REAL)"
            return f"CASE WHEN {kind} IN ('integer', 'real') AND abs({number}) < 9e999 THEN {number} END"
        case ColumnType.BOOLEAN:
            return f"CASE WHEN {kind} IN ('true', 'false') THEN {value} END"
        case ColumnType.JSON:
            return f"nullif({raw}, 'null')"


def _is_day(text: str) -> str:
    """Whether such a text is a day that there is; SQLite takes the 30th of February for one in March."""
    return f"{text} >= '0001' AND date({text}, '+0 days') = {text}"


def _is_time(text: str) -> str:
    zoned = f"({text} GLOB '*Z' OR {text} GLOB '{_OFFSET}')"
    return f"{text} GLOB '{_TIME}' AND {zoned} AND {_is_day(f'substr({text}, 1, 10)')}"


def _time(text: str) -> str:
    """The moment in UTC. A leap second is the one after it, as on PostgreSQL; none is before the year 1."""
    is_leap = f"substr({text}, 18, 2) = '60'"
    plain = f"iif({is_leap}, substr({text}, 1, 17) || '59' || substr({text}, 20), {text})"
    return f"nullif(max(strftime({_ISO}, {plain}, iif({is_leap}, '+1 second', '+0 seconds')), '0001'), '0001')"
