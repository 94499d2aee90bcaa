"""Convert records to parameters of statements, and rows to records.

Parameters have times in milliseconds since the epoch. Rows of SQLite, Turso and D1 have the same, rows of PostgreSQL
have datetimes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from ...domain.audit import AuditAction, AuditRecord
from ...domain.history import TICK_REPORT_INTERVAL, AttemptRecord, WorkerRecord, WorkerReport
from ...domain.ids import BATCH_LENGTH, token_of
from ...domain.interfaces import Row, Value
from ...domain.record import (
    Cancelled,
    Claim,
    ClaimRequest,
    Completed,
    Declaration,
    Failed,
    Heartbeat,
    JobPreview,
    JobRecord,
    JobStatus,
    JobSummary,
    KnownJob,
    NewJob,
    Outcome,
    PruneRule,
    Released,
    ScheduleRecord,
    Settlement,
)
from ...domain.record import record_of as record_from
from ...domain.statistics import Counts, EnqueuedCount, FailureGroup, MinuteCounts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_BYTES = 1_000_000  # per parameter; D1 accepts 2,000,000
_CHEAP_STATEMENTS = ("sqlite", "postgresql")  # the others send or count each statement
LONG_TEXT = 16_000  # characters; escaping and parsing more costs more than a statement
_NO_KEYS = (None, None, None)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_OUTCOMES: dict[object, Outcome] = {outcome.value: outcome for outcome in Outcome}
_STATUSES: dict[object, JobStatus] = {status.value: status for status in JobStatus}


def json_of(value: object) -> str:
    """Return a list as one JSON parameter."""
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # for a lone surrogate, which the database rejects
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_lists(rows: Sequence[object]) -> Iterator[str]:
    """Like `json_of`, in several texts if one would be too long. A row is never divided; see `is_large`."""
    text = json_of(rows)
    if len(rows) < 2 or not _is_too_long(text):
        yield text
    else:
        half = len(rows) // 2
        yield from json_lists(rows[:half])
        yield from json_lists(rows[half:])


def json_objects(rows: Mapping[str, object]) -> Iterator[str]:
    """Like `json_lists`, for rows by job id."""
    text = json_of(rows)
    if len(rows) < 2 or not _is_too_long(text):
        yield text
    else:
        items = list(rows.items())
        half = len(items) // 2
        yield from json_objects(dict(items[:half]))
        yield from json_objects(dict(items[half:]))


def is_large(text: str, database: str) -> bool:
    """Whether a text needs its own parameter, instead of a place inside JSON.

    Necessary for a text that is too long for JSON, and cheaper for a long text if another statement costs little.
    """
    if database in _CHEAP_STATEMENTS:
        return len(text) >= LONG_TEXT
    return len(text) > _MOST_BYTES // 4 and _is_too_long(json_of(text))


def _is_too_long(text: str) -> bool:
    return len(text) > _MOST_BYTES // 4 and len(text.encode(errors="surrogatepass")) > _MOST_BYTES


def new_job_row(job: NewJob) -> dict[str, Value]:
    """Return a new job as parameters, or as an element of the parameter `jobs`."""
    return {
        "id": job.id,
        "params": job.params,
        "unique_key": job.unique_key,
        "concurrency_key": job.concurrency_key,
        "rate_key": job.rate_key,
        **shared_parameters(job),
    }


def shared_parameters(job: NewJob) -> dict[str, Value]:
    """Return the shared fields of the jobs of one call, as parameters. Jobs with equal ones share a statement."""
    return {
        "job_name": job.job_name,
        "queue": job.queue,
        "priority": job.priority,
        "spec_version": job.spec_version,
        "max_attempts": job.max_attempts,
        "scheduled_for": None if job.scheduled_for is None else timestamp(job.scheduled_for),
        "delay": milliseconds(job.delay),
        "expires_after": None if job.expires_after is None else milliseconds(job.expires_after),
        "correlation_id": job.correlation_id,
        "headers": job.headers,
        "batch_id": job.batch_id,
    }


def own_values(jobs: Sequence[NewJob]) -> dict[str, str | tuple[str | None, ...]]:
    """Return the other fields of jobs by id, as the parameter `jobs`. The first job with an id wins."""
    values = _values_by_id(jobs)
    return values if len(values) == len(jobs) else values | _values_by_id(jobs[::-1])


def _values_by_id(jobs: Sequence[NewJob]) -> dict[str, str | tuple[str | None, ...]]:
    return {job.id: job.params if job[2:5] == _NO_KEYS else (job.params, *job[2:5]) for job in jobs}


def new_job_lists(jobs: Sequence[NewJob]) -> dict[str, Value]:
    """Return the other fields of jobs as a list for each, or None if no job has the field."""
    return {
        "ids": [job.id for job in jobs],
        "params": [job.params for job in jobs],
        "unique_keys": _list_of([job.unique_key for job in jobs]),
        "concurrency_keys": _list_of([job.concurrency_key for job in jobs]),
        "rate_keys": _list_of([job.rate_key for job in jobs]),
    }


def _list_of(texts: list[str | None]) -> list[str | None] | None:
    return None if texts.count(None) == len(texts) else texts


def parts_of(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """Yield jobs for one statement each, so that its params are not too long."""
    if len(jobs) < 2 or sum([len(job.params) for job in jobs]) <= _MOST_BYTES:
        yield jobs
    else:
        half = len(jobs) // 2
        yield from parts_of(jobs[:half])
        yield from parts_of(jobs[half:])


def request_parameters(request: ClaimRequest) -> dict[str, Value]:
    """Return the jobs and queues of a request, as the parameters `known` and `queues`."""
    return {
        "known": json_of([_known_row(job) for job in request.known]),
        "queues": None if request.queues is None else json_of(list(request.queues)),
    }


def _known_row(job: KnownJob) -> tuple[Value, ...]:
    """Return an element of the parameter `known`.

    Name, version, concurrency limit, rate limit, the rate's period, and whether each of the limits has a single key.
    """
    concurrency, rate = job.concurrency, job.rate
    return (
        job.name,
        job.version,
        None if concurrency is None else concurrency.limit,
        None if rate is None else rate.limit,
        None if rate is None else milliseconds(rate.per),
        int(concurrency is not None and not concurrency.by),
        int(rate is not None and not rate.by),
    )


def schedule_row(schedule: ScheduleRecord) -> dict[str, Value]:
    """Return a declared schedule as an element of the parameter `schedules`."""
    return {
        "id": schedule.id,
        "job_name": schedule.job_name,
        "name": schedule.name,
        "cron_expression": schedule.cron_expression,
        "timezone": schedule.timezone,
        "misfire": schedule.misfire,
        "misfire_limit": schedule.misfire_limit,
        "params": schedule.params,
        "enabled": schedule.enabled,
        "source": schedule.source,
        "spec_version": schedule.spec_version,
    }


def declaration_row(declaration: Declaration) -> dict[str, Value]:
    """Return an element of the parameter `sets`."""
    return {
        "job_name": declaration.job_name,
        "fingerprint": declaration.fingerprint,
        "has_schedules": int(bool(declaration.schedules)),
    }


def prune_rules(rules: Sequence[PruneRule]) -> str:
    """Return the parameter `rules`: ages by status and job name; `*` stands for all names."""
    ages: dict[str, int] = {}
    for rule in rules:
        key, age = f"{rule.status} {rule.job_name or '*'}", milliseconds(rule.age)
        ages[key] = min(age, ages.get(key, age))
    return json_of(ages)


def heartbeat_row(beat: Heartbeat) -> dict[str, Value]:
    """Return a heartbeat as its value in the parameter `items`."""
    return {"token": beat.token, "progress": beat.progress, "message": beat.message}


def plain_results(batch: Sequence[Settlement]) -> dict[str, str]:
    """Return the completed attempts without a report, by job id, as their values in the parameter `items`.

    Leave out a token that no claim of the job can have.
    """
    return {
        one.id: one.token[:BATCH_LENGTH] + one.result
        for one in batch
        if isinstance(one, Completed) and one.report is None and one.token[BATCH_LENGTH:] == one.id
    }


def outcome_row(settlement: Settlement) -> dict[str, Value]:
    """Return a settlement as its value in the parameter `items`."""
    common: dict[str, Value] = {"token": settlement.token}
    if settlement.report is not None:
        common |= {"progress": settlement.report.progress, "message": settlement.report.message}
    match settlement:
        case Completed(result=result):
            return {**common, "kind": "completed", "result": result}
        case Failed(error=error, retry_after=delay):
            common |= {"kind": "failed", "error": error, "delay": _milliseconds_or_none(delay)}
        case Released(delay=delay):
            common |= {"kind": "released", "delay": _milliseconds_or_none(delay)}
        case Cancelled(reason=reason):
            common |= {"kind": "cancelled", "error": reason}
    if settlement.ended is not None:
        outcome, error_class, traceback = settlement.ended
        common |= {"ended": outcome, "error_class": error_class, "traceback": traceback}
    return common


def outcome_parameters(settlement: Settlement) -> dict[str, Value]:
    """Return a settlement as parameters of its own statement."""
    nothing: dict[str, Value] = dict.fromkeys(("result", "error", "error_class", "delay", "progress", "message"))
    return {**nothing, **outcome_row(settlement), "id": settlement.id}


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
    """Return the claims of rows with the columns `CLAIM_COLUMNS`, in this order."""
    claimed: Iterable[Iterable[Value]] = unpacked(rows) if is_packed(rows) else [row.values() for row in rows]
    return [_claim_of(batch, *values) for values in claimed]


def _claim_of(
    batch: str,
    job_id: Value,
    job_name: Value,
    spec_version: Value,
    params: Value,
    attempt: Value,
    max_attempts: Value,
    correlation_id: Value,
    headers: Value,
    batch_id: Value,
    queue: Value,
    scheduled_for: Value,
) -> Claim:
    job_id = job_id if type(job_id) is str else text_of(job_id)
    return Claim(
        job_id,
        job_name if type(job_name) is str else text_of(job_name),
        spec_version if type(spec_version) is int else integer_of(spec_version),
        params if type(params) is str else text_of(params),
        attempt if type(attempt) is int else integer_of(attempt),
        max_attempts if type(max_attempts) is int else integer_of(max_attempts),
        correlation_id if correlation_id is None else text_of(correlation_id),
        token_of(batch, job_id),
        headers if headers is None else text_of(headers),
        scheduled_for if isinstance(scheduled_for, datetime) else time_of(scheduled_for) or EPOCH,
        batch_id if batch_id is None or type(batch_id) is str else text_of(batch_id),
        queue if type(queue) is str else text_of(queue),
    )


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
        last_job_id=_text_or_none(row["last_job_id"]),
        source=text_of(row["source"]),
        spec_version=None if row["spec_version"] is None else integer_of(row["spec_version"]),
    )


def audit_of(row: Row) -> AuditRecord:
    """Return the audit entry of a row."""
    return AuditRecord(
        id=text_of(row["id"]),
        at=time_of(row["at"]) or EPOCH,
        actor=text_of(row["actor"]),
        action=AuditAction(text_of(row["action"])),
        target=text_of(row["target"]),
        job_name=_text_or_none(row["job_name"]),
        detail=_text_or_none(row["detail"]),
    )


def attempt_of(row: Row) -> AttemptRecord:
    """Return the attempt of a row."""
    return AttemptRecord(
        job_id=text_of(row["job_id"]),
        attempt=integer_of(row["attempt"]),
        outcome=_OUTCOMES.get(row["outcome"], Outcome.FAILED),
        error=_text_or_none(row["error"]),
        error_class=_text_or_none(row["error_class"]),
        traceback=_text_or_none(row["traceback"]),
        worker_id=_text_or_none(row["worker_id"]),
        started_at=time_of(row["started_at"]) or EPOCH,
        ended_at=time_of(row["ended_at"]) or EPOCH,
    )


def failure_group_of(row: Row) -> FailureGroup:
    """Return the group of failures of a row."""
    return FailureGroup(
        job_name=text_of(row["job_name"]),
        error_class=_text_or_none(row["error_class"]),
        count=integer_of(row["count"]),
        newest_id=text_of(row["newest_id"]),
        error=_text_or_none(row["error"]),
        failed_at=time_of(row["failed_at"]),
    )


def enqueued_count_of(row: Row) -> EnqueuedCount:
    """Return the count of a row."""
    return EnqueuedCount(text_of(row["queue"]), text_of(row["job_name"]), integer_of(row["count"]))


def minute_counts_of(row: Row) -> MinuteCounts:
    """Return the counts of a row. The row of 1970 has the totals."""
    minute = time_of(row["minute"])
    counts = Counts(integer_of(row["completed"]), integer_of(row["failed"]), integer_of(row["retried"]))
    return MinuteCounts(None if minute == EPOCH else minute, text_of(row["queue"]), text_of(row["job_name"]), counts)


def worker_parameters(report: WorkerReport) -> dict[str, Value]:
    """Return the report of a worker as parameters."""
    return {
        "id": report.id,
        "host": report.host,
        "pid": report.pid,
        "queues": None if report.queues is None else json_of(report.queues),
        "concurrency": report.concurrency,
        "version": report.version,
        "known": json_of(report.known),
    }


def tick_parameters(report: WorkerReport | None) -> dict[str, Value]:
    """Return the parameters that say whether the report of a tick is due."""
    return {
        "tick_id": "" if report is None else report.id,
        "tick_known": "" if report is None else json_of(report.known),
        "tick_interval": milliseconds(TICK_REPORT_INTERVAL),
    }


def worker_of(row: Row) -> WorkerRecord:
    """Return the worker of a row."""
    pid, queues, known = row["pid"], row["queues"], from_json(text_of(row["known"]))
    return WorkerRecord(
        report=WorkerReport(
            id=text_of(row["id"]),
            host=text_of(row["host"]),
            pid=None if pid is None else integer_of(pid),
            queues=None if queues is None else tuple(from_json(text_of(queues))),
            concurrency=integer_of(row["concurrency"]),
            version=text_of(row["version"]),
            known=tuple((name, version) for name, version in known),
        ),
        started_at=time_of(row["started_at"]) or EPOCH,
        last_seen_at=time_of(row["last_seen_at"]) or EPOCH,
        is_alive=bool(row["is_alive"]),
        running=integer_of(row["running"]),
    )


def status_of(value: Value) -> JobStatus:
    """Return the status in a column."""
    return _STATUSES.get(value) or JobStatus(text_of(value))


def text_of(value: Value | bytes) -> str:
    """Return the text in a column. SQLite stores any type that another program wrote."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else str(value)


def _text_or_none(value: Value) -> str | None:
    return None if value is None else text_of(value)


def integer_of(value: Value) -> int:
    """Return the number in a column, 0 for NULL. A value written by hand must not block other rows."""
    try:
        return 0 if value is None or isinstance(value, datetime | list) else int(value)
    except (ValueError, OverflowError):
        return 0


def milliseconds(duration: timedelta) -> int:
    """Return a duration as SQL uses it."""
    return duration // _MILLISECOND


def _milliseconds_or_none(duration: timedelta | None) -> int | None:
    return None if duration is None else milliseconds(duration)


def timestamp(moment: datetime) -> int:
    """Return a time as it is stored."""
    return (moment - EPOCH) // _MILLISECOND


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
    "str | None": _text_or_none,
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
