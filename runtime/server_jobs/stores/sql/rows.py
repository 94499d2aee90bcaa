"""Convert rows to records.

Rows of SQLite and its relatives have times in milliseconds since the epoch, rows of PostgreSQL have datetimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from pydantic_core import from_json

from ...domain.ids import token_of
from ...domain.interfaces import Row, Value
from ...domain.record import (
    Claim,
    JobPreview,
    JobRecord,
    JobStatus,
    JobSummary,
    ScheduleRecord,
)
from ...domain.record import record_of as record_from
from .parameters import EPOCH

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_STATUSES: dict[object, JobStatus] = {status.value: status for status in JobStatus}


def is_packed(rows: Sequence[Row]) -> bool:
    """Whether the statement packed all rows into one."""
    return len(rows) == 1 and "packed" in rows[0].keys()  # noqa: SIM118  `in` searches the values of an asyncpg row


def unpacked(rows: Sequence[Row]) -> list[Any]:
    """Return the rows that a statement packed into one."""
    packed = rows[0]["packed"]
    return [] if packed is None else cast("list[Any]", from_json(text_of(packed)))


def row_count(rows: Sequence[Row]) -> int:
    """Return the number of rows, before the statement packed them."""
    return len(unpacked(rows)) if is_packed(rows) else len(rows)


def claims_of(rows: Sequence[Row], batch: str) -> list[Claim]:
    """Return the claims of rows with the columns `claim_columns`, in this order."""
    claimed: Iterable[Iterable[Any]] = unpacked(rows) if is_packed(rows) else [row.values() for row in rows]
    claims: list[Claim] = []
    made = tuple.__new__  # `Claim(...)` and a function for each row are two calls per job
    for job_id, name, version, params, attempt, most, correlation_id, headers, due, batch_id, queue in claimed:
        job_id = job_id if type(job_id) is str else text_of(job_id)  # noqa: PLW2901
        fields = (
            job_id,
            name if type(name) is str else text_of(name),
            version if type(version) is int else integer_of(version),
            params if type(params) is str else text_of(params),
            attempt if type(attempt) is int else integer_of(attempt),
            most if type(most) is int else integer_of(most),
            correlation_id if correlation_id is None else text_of(correlation_id),
            token_of(batch, job_id),
            headers if headers is None else text_of(headers),
            due if type(due) is datetime else time_of(due) or EPOCH,
            batch_id if batch_id is None else text_of(batch_id),
            queue if type(queue) is str else text_of(queue),
        )
        claims.append(made(Claim, fields))
    return claims


def record_of(row: Row) -> JobRecord:
    """Return the job of a row."""
    return record_from({name: read(row[name]) for name, read in _RECORD_READERS.items()})


def summary_of(row: Row) -> JobSummary:
    """Return the summary of the job of a row."""
    values: dict[str, Any] = {name: read(row[name]) for name, read in _SUMMARY_READERS.items()}
    return JobSummary(**values)


def preview_of(row: Row) -> JobPreview:
    """Return the preview of the job of a row."""
    values: dict[str, Any] = {name: read(row[name]) for name, read in _PREVIEW_READERS.items()}
    return JobPreview(**values)


def schedule_of(row: Row) -> ScheduleRecord:
    """Return the schedule of a row."""
    return ScheduleRecord(
        id=text_of(row["id"]),
        job_name=text_of(row["job_name"]),
        name=text_of(row["name"]),
        cron_expression=text_of(row["cron_expression"]),
        timezone=text_of(row["timezone"]),
        misfire=text_of(row["misfire"]),
        misfire_limit=None if row["misfire_limit"] is None else integer_of(row["misfire_limit"]),
        params=text_of(row["params"]),
        enabled=bool(row["enabled"]),
        last_run_at=time_of(row["last_run_at"]),
        next_run_at=time_of(row["next_run_at"]),
        last_job_id=text_or_none(row["last_job_id"]),
        source=text_of(row["source"]),
        spec_version=None if row["spec_version"] is None else integer_of(row["spec_version"]),
    )


def status_of(value: Value) -> JobStatus:
    """Return the status in a column."""
    return _STATUSES.get(value) or JobStatus(text_of(value))


def text_of(value: Value | bytes) -> str:
    """Return the text in a column. SQLite stores any type that another program wrote."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else str(value)


def text_or_none(value: Value) -> str | None:
    """Return the text in a column; None for NULL."""
    return None if value is None else text_of(value)


def integer_of(value: Value) -> int:
    """Return the number in a column, 0 for NULL. A value written by hand must not block other rows."""
    try:
        return 0 if value is None or isinstance(value, datetime | list) else int(value)
    except (ValueError, OverflowError):
        return 0


def duration_of(value: Value) -> timedelta:
    """Return the duration in a column, at most the longest timedelta. Foreign values must not stop a worker."""
    try:
        return timedelta(milliseconds=integer_of(value))
    except OverflowError:
        return timedelta.max if integer_of(value) > 0 else timedelta.min


def time_of(value: Value) -> datetime | None:
    """Return the stored time, limited to the range of Python."""
    return value if value is None or isinstance(value, datetime) else _time_of(value)  # type: ignore[arg-type]  # no list


@lru_cache(maxsize=4096)  # rows of a batch share most times
def _time_of(value: Value) -> datetime | None:
    try:
        return None if value is None else EPOCH + duration_of(value)
    except OverflowError:
        return _FIRST if integer_of(value) < 0 else _LAST


_READERS: Mapping[str, Callable[[Value], object]] = {
    "str": text_of,
    "str | None": text_or_none,
    "int": integer_of,
    "bool": bool,
    "datetime": lambda value: time_of(value) or EPOCH,
    "datetime | None": time_of,
    "JobStatus": status_of,
}
"""How to read a column, by the annotation of its field."""

_RECORD_READERS = {field.name: _READERS[str(field.type)] for field in fields(JobRecord)}
_SUMMARY_READERS = {field.name: _READERS[str(field.type)] for field in fields(JobSummary)}
_PREVIEW_READERS = {field.name: _READERS[str(field.type)] for field in fields(JobPreview)}
