"""The state that the specs declare for a database: schedules, and views with typed columns and indexes.

A row may belong to another version, or another program may have written it. If its JSON is invalid, or a value differs
from the spec, the column is NULL. Such a row must neither hide the others nor, with an index, be rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from server_jobs.contract.row_limits import ROW_LIMITS
from server_jobs.contract.values import fingerprint, pointer_to
from server_jobs.domain.ids import schedule_id

from ..ir.spec import JobSpec
from ..python.names import snake_case
from ..sql import (
    OWN_COLUMNS,
    PARTS,
    TIMES,
    ColumnType,
    can_be_indexed,
    folded,
    identifier,
    index_name,
    postgresql_text,
    redacted_properties,
    shortened,
    sqlite_text,
    typed_properties,
    view_name,
)
from .sql_objects import SqlObject

Objects = Mapping[str, tuple[SqlObject, ...]]
"""The objects by dialect, in an order in which they can be created."""

DIALECTS = ("sqlite", "postgresql")

# Many jobs have properties with the same names.
_snake_case = lru_cache(snake_case)

# SQLite and databases with its SQL: Turso, D1.
_ISO = "'%Y-%m-%dT%H:%M:%fZ'"
# D1 rejects patterns of more than 50 bytes: https://developers.cloudflare.com/d1/platform/limits/
_SQLITE_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
# Only such texts may reach `strftime`, which also accepts `now`, but an index cannot contain it. `_is_day` checks the
# day.
_SQLITE_TIME = "????-??-??T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z+-]*"
_OFFSET = "*[+-][0-9][0-9]:[0-9][0-9]"
_SQLITE_UUID = "????????-????-????-????-????????????"
# The rules of these types use the value several times.
_LONG = frozenset({ColumnType.TIMESTAMP, ColumnType.DATE, ColumnType.UUID, ColumnType.BIGINT, ColumnType.NUMERIC})

# PostgreSQL. `_CATCHING` is not parallel-safe: catching an error starts a subtransaction, which parallel plans forbid.
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
_POSTGRESQL_UUID = "'^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'"
# Only times with a zone, and no words such as `now`, because an index needs the same result on every server.
_POSTGRESQL_TIME = (
    "'^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'"
)
# Drivers support only these years. A single other value would make every row unreadable.
_YEARS = "BETWEEN timestamptz '0001-01-01T00:00:00Z' AND timestamptz '9999-12-31T23:59:59.999999Z'"
_WITHIN_YEARS = f"CASE WHEN ({_TEXT})::timestamptz {_YEARS} THEN ({_TEXT})::timestamptz END"
_POSTGRESQL_DATE = "'^[0-9]{4}-[0-9]{2}-[0-9]{2}$'"


def wanted_objects(jobs: Iterable[JobSpec]) -> Objects:
    """Return the views of all jobs that have one, sorted by name, with their indexes and functions.

    On PostgreSQL, the constraint with the limits of rows comes first, also for jobs without a view.
    """
    every = list(jobs)
    ordered = sorted((job for job in every if job.has_view), key=lambda job: job.spec_name)
    of_jobs = [_objects_of(_Job(job)) for job in ordered]
    limits = (SqlObject(ROW_LIMITS),) if every else ()
    functions = postgresql_functions() if ordered else ()
    return {
        "sqlite": tuple(one for objects, _ in of_jobs for one in objects),
        "postgresql": (*limits, *functions, *(one for _, objects in of_jobs for one in objects)),
    }


def objects_hash(job: JobSpec) -> str:
    """Return a hash of the objects of one job."""
    return fingerprint([[one.create for one in objects] for objects in _objects_of(_Job(job))] if job.has_view else [])


@dataclass(frozen=True, slots=True)
class _Job:
    """A job that equals another if it comes from the same file with the same text."""

    spec: JobSpec = field(compare=False)
    key: tuple[str, str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.spec.path, self.spec.class_name, self.spec.digest))


# One run needs the objects twice, for a hash and for a revision.
@lru_cache(maxsize=4096)
def _objects_of(job: _Job) -> tuple[tuple[SqlObject, ...], tuple[SqlObject, ...]]:
    """Return the indexes and the view of a job on SQLite, and on PostgreSQL."""
    view, columns = view_name(job.spec.spec_name), view_columns(job.spec)
    indexed = [column for column in columns if column.is_indexed]
    sqlite = [*(_sqlite_index(job.spec, view, column) for column in indexed), _sqlite_view(job.spec, view, columns)]
    postgresql = [_postgresql_index(job.spec, view, column) for column in indexed]
    postgresql.append(_postgresql_view(job.spec, view, columns))
    return tuple(SqlObject(folded(sql)) for sql in sqlite), tuple(SqlObject(folded(sql)) for sql in postgresql)


class ScheduleRow(NamedTuple):
    """The columns of a schedule that its spec sets, with the names in the table."""

    job_name: str
    name: str
    cron_expression: str
    timezone: str
    misfire: str
    misfire_limit: int | None
    params: str


def schedule_rows(jobs: Iterable[JobSpec]) -> dict[str, ScheduleRow]:
    """Return every declared schedule by row id."""
    return {
        schedule_id(job.class_name, schedule.name): ScheduleRow(
            job_name=job.class_name,
            name=schedule.name,
            cron_expression=schedule.cron,
            timezone=schedule.timezone,
            misfire=str(schedule.misfire),
            misfire_limit=schedule.misfire_limit,
            params=schedule.params,
        )
        for job in jobs
        for schedule in job.schedules
    }


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column: its name in SQL, and the property of `params` or `result` that it shows."""

    name: str
    part: str
    json_name: str
    type: ColumnType
    is_indexed: bool


def view_columns(job: JobSpec) -> tuple[ViewColumn, ...]:
    """Return the columns in the order of the spec, without properties that are redacted or contain redacted values."""
    taken: set[str] = set()
    columns: list[ViewColumn] = []
    for part, json_name, kind in _shown_properties(job):
        name = _free(f"{part}_{_snake_case(json_name)}", taken)
        is_indexed = bool(job.indexes) and pointer_to((part, json_name)) in job.indexes
        columns.append(ViewColumn(name, part, json_name, kind, is_indexed))
    return tuple(columns)


def _shown_properties(job: JobSpec) -> Iterator[tuple[str, str, ColumnType]]:
    hidden = redacted_properties(job.options.redact)
    for part, schema in zip(PARTS, (job.params, job.result), strict=True):
        for name, kind in typed_properties(schema).items():
            if part == "result" or (hidden is not None and name not in hidden):
                yield part, name, kind


def _free(wanted: str, taken: set[str]) -> str:
    """Return a free name, shortened for PostgreSQL. Only a name with a digest can be taken."""
    name = shortened(wanted)
    while name in taken:
        name = shortened(f"{wanted}_", f"_{len(taken)}")
    taken.add(name)
    return name


def _sqlite_view(job: JobSpec, view: str, columns: tuple[ViewColumn, ...]) -> str:
    shown = [f"{_own(name)} AS {alias}" if _own(name) != alias else alias for name, alias in OWN_COLUMNS.items()]
    shown += [f"{_sqlite_value(column)} AS {identifier(column.name)}" for column in columns]
    lines = ",\n    ".join(shown)
    return (
        f"CREATE VIEW {view} AS\nSELECT\n    {lines}\nFROM (\n"
        f"    SELECT *, {_document('params')} AS params_json, {_document('result')} AS result_json\n"
        f"    FROM jobs\n    WHERE job_name = {sqlite_text(job.class_name)}\n)"
    )


def _sqlite_index(job: JobSpec, view: str, column: ViewColumn) -> str:
    name, value = identifier(index_name(view, column.name)), _inline(column, _document(column.part))
    return f"CREATE INDEX {name} ON jobs (\n    {value}\n) WHERE job_name = {sqlite_text(job.class_name)}"


def _sqlite_value(column: ViewColumn) -> str:
    """Return the expression of a column: for an indexed column the index's expression, so that queries use it."""
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
    """Return the document if it is valid JSON, else NULL: JSON functions fail on other text."""
    return f"iif(json_valid({part}), {part}, NULL)"


def _inline(column: ViewColumn, document: str) -> str:
    kind, value, raw = _parts(column, document)
    return _typed(column.type, kind, value, raw=raw)


def _named(column: ViewColumn, document: str) -> str:
    """Return the expression as a subquery, which is shorter and computes each part once. An index cannot have one."""
    kind, value, raw = _parts(column, document)
    parts = f"{kind} AS type, {value} AS value"
    parts += f", {raw} AS raw" if column.type is ColumnType.NUMERIC else ""
    return f"(SELECT {_typed(column.type, 'type', 'value', raw='raw')} FROM (SELECT {parts}))"


def _parts(column: ViewColumn, document: str) -> tuple[str, str, str]:
    """Return the type of a property, its value, and its JSON text."""
    path = sqlite_text(f'$."{column.json_name}"')
    value = _written(column.type, f"json_extract({document}, {path})")
    return f"json_type({document}, {path})", value, f"{document} -> {path}"


def _written(column_type: ColumnType, value: str) -> str:
    """Return the value as its rules expect it: the `T` and `Z` of a time may be small letters."""
    return f"upper({value})" if column_type is ColumnType.TIMESTAMP else value


def _typed(column_type: ColumnType, kind: str, value: str, *, raw: str) -> str:
    """Return the value if it has the type, else NULL; `raw` is its JSON text."""
    match column_type:
        case ColumnType.TEXT:
            return f"CASE {kind} WHEN 'text' THEN {value} END"
        case ColumnType.DATE:
            return f"CASE WHEN {kind} = 'text' AND {value} GLOB '{_SQLITE_DATE}' AND {_is_day(value)} THEN {value} END"
        case ColumnType.UUID:
            digits = f"{value} NOT GLOB '*[^0-9A-Fa-f-]*' AND length(replace({value}, '-', '')) = 32"
            return f"CASE WHEN {kind} = 'text' AND {value} GLOB '{_SQLITE_UUID}' AND {digits} THEN lower({value}) END"
        case ColumnType.TIMESTAMP:
            return f"CASE WHEN {kind} = 'text' AND {_is_time(value)} THEN {_time(value)} END"
        case ColumnType.BIGINT | ColumnType.NUMERIC:
            # SQLite would round an integer of more than 64 bits, so it is shown as text. 1.0 is an integer too.
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
    """Return a condition that the day exists: SQLite reads the 30th of February as a day in March."""
    return f"{text} >= '0001' AND date({text}, '+0 days') = {text}"


def _is_time(text: str) -> str:
    zoned = f"({text} GLOB '*Z' OR {text} GLOB '{_OFFSET}')"
    return f"{text} GLOB '{_SQLITE_TIME}' AND {zoned} AND {_is_day(f'substr({text}, 1, 10)')}"


def _time(text: str) -> str:
    """Return the time in UTC. A leap second becomes the next second, as on PostgreSQL; before the year 1 is NULL."""
    is_leap = f"substr({text}, 18, 2) = '60'"
    plain = f"iif({is_leap}, substr({text}, 1, 17) || '59' || substr({text}, 20), {text})"
    return f"nullif(max(strftime({_ISO}, {plain}, iif({is_leap}, '+1 second', '+0 seconds')), '0001'), '0001')"


def postgresql_functions() -> Iterator[SqlObject]:
    """Yield all functions, even those that no view uses."""
    for name, one_type, value in (
        (_NAMES[ColumnType.TEXT], "text", f"CASE jsonb_typeof(value) WHEN 'string' THEN {_TEXT} END"),
        # An index entry has room for 2,700 bytes. A longer text would make the INSERT fail.
        (_KEY, "text", f"CASE WHEN jsonb_typeof(value) = 'string' AND octet_length({_TEXT}) <= 2600 THEN {_TEXT} END"),
        (_NAMES[ColumnType.BIGINT], "bigint", _number("bigint", f"{_WHOLE} AND value::numeric {_IN_RANGE}")),
        (_NAMES[ColumnType.NUMERIC], "numeric", _number("numeric", f"{_WHOLE} AND octet_length({_TEXT}) <= 4200")),
        (_NAMES[ColumnType.BOOLEAN], "boolean", "CASE jsonb_typeof(value) WHEN 'boolean' THEN value::boolean END"),
        (_NAMES[ColumnType.UUID], "uuid", f"CASE WHEN {_TEXT} ~ {_POSTGRESQL_UUID} THEN ({_TEXT})::uuid END"),
        (_NAMES[ColumnType.JSON], "jsonb", "nullif(value, 'null')"),
    ):
        yield SqlObject(folded(_PLAIN.format(name=name, type=one_type, value=value)))
    yield SqlObject(_CATCHING.format(name=_JSON, argument="document text", type="jsonb", value="document::jsonb"))
    for column_type, one_type, value in (
        (ColumnType.DOUBLE, "double precision", f"CASE jsonb_typeof(value) WHEN 'number' THEN ({_TEXT})::float8 END"),
        (
            ColumnType.TIMESTAMP,
            "timestamptz",
            f"CASE WHEN {_TEXT} ~ {_POSTGRESQL_TIME} THEN {_WITHIN_YEARS} END",
        ),
        (ColumnType.DATE, "date", f"CASE WHEN {_TEXT} ~ {_POSTGRESQL_DATE} THEN ({_TEXT})::date END"),
    ):
        text = _CATCHING.format(name=_NAMES[column_type], argument="value jsonb", type=one_type, value=value)
        yield SqlObject(folded(text))


def _number(one_type: str, condition: str) -> str:
    return f"CASE jsonb_typeof(value) WHEN 'number' THEN CASE WHEN {condition} THEN value::{one_type} END END"


def _postgresql_view(job: JobSpec, view: str, columns: tuple[ViewColumn, ...]) -> str:
    shown = [f"jobs.{name}" if name == alias else f"jobs.{name} AS {alias}" for name, alias in OWN_COLUMNS.items()]
    shown += [f"{_postgresql_column(column)} AS {identifier(column.name)}" for column in columns]
    lines = ",\n    ".join(shown)
    # OFFSET keeps the planner from inlining the subquery, so the document is parsed once for each row.
    return (
        f"CREATE VIEW {view} AS\nSELECT\n    {lines}\nFROM jobs\nCROSS JOIN LATERAL (\n"
        f"    SELECT {_JSON}(jobs.params) AS params, {_JSON}(jobs.result) AS result OFFSET 0\n"
        f") AS document\nWHERE jobs.job_name = {postgresql_text(job.class_name)}"
    )


def _postgresql_index(job: JobSpec, view: str, column: ViewColumn) -> str:
    name, value = identifier(index_name(view, column.name)), _postgresql_value(column, f"{_JSON}({column.part})")
    return f"CREATE INDEX {name} ON jobs (\n    ({value})\n) WHERE job_name = {postgresql_text(job.class_name)}"


def _postgresql_column(column: ViewColumn) -> str:
    """Return the expression of a column: for an indexed column the index's expression, so that queries use it."""
    return _postgresql_value(column, f"{_JSON}(jobs.{column.part})" if column.is_indexed else f"document.{column.part}")


def _postgresql_value(column: ViewColumn, document: str) -> str:
    is_key = column.is_indexed and column.type is ColumnType.TEXT
    function = _KEY if is_key else _NAMES[column.type]
    return f"{function}({document} -> {postgresql_text(column.json_name)})"
