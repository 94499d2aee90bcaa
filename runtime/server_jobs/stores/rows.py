"""Records to the values that travel to SQL, and rows back to records. Times are milliseconds since the epoch."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from ..ports import Row, Value
from ..record import (
    Cancelled,
    Claim,
    ClaimRequest,
    Completed,
    Failed,
    Heartbeat,
    JobRecord,
    JobStatus,
    NewJob,
    Released,
    ScheduleRecord,
    Settlement,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def json_of(value: object) -> str:
    """A parameter that carries a list: one JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def new_job_row(job: NewJob) -> dict[str, Value]:
    """A job to be stored, as an element of the parameter `jobs`."""
    return {
        "id": job.id,
        "job_name": job.job_name,
        "params": job.params,
        "queue": job.queue,
        "priority": job.priority,
        "spec_version": job.spec_version,
        "max_attempts": job.max_attempts,
        "scheduled_for": None if job.scheduled_for is None else timestamp(job.scheduled_for),
        "delay": milliseconds(job.delay),
        "unique_key": job.unique_key,
        "correlation_id": job.correlation_id,
    }


def request_parameters(request: ClaimRequest) -> dict[str, Value]:
    """What a worker can run, as the parameters `known` and `queues`."""
    return {
        "known": json_of([(job.name, job.version, job.concurrency_limit) for job in request.known]),
        "queues": None if request.queues is None else json_of(list(request.queues)),
    }


def schedule_row(schedule: ScheduleRecord) -> dict[str, Value]:
    """A declared schedule, as an element of the parameter `schedules`."""
    return {
        "id": schedule.id,
        "job_name": schedule.job_name,
        "name": schedule.name,
        "cron_expression": schedule.cron_expression,
        "timezone": schedule.timezone,
        "misfire": schedule.misfire,
        "params": schedule.params,
        "enabled": schedule.enabled,
    }


def heartbeat_row(beat: Heartbeat) -> dict[str, Value]:
    """A heartbeat, as an element of the parameter `items`."""
    return {"id": beat.id, "token": beat.token, "progress": beat.progress, "message": beat.message}


def outcome_row(settlement: Settlement) -> dict[str, Value]:
    """A settlement, as an element of the parameter `items`."""
    common: dict[str, Value] = {"id": settlement.id, "token": settlement.token}
    if settlement.report is not None:
        common |= {"progress": settlement.report.progress, "message": settlement.report.message}
    match settlement:
        case Completed(result=result):
            return {**common, "kind": "completed", "result": result}
        case Failed(error=error, retry_after=delay):
            return {**common, "kind": "failed", "error": error, "delay": _milliseconds_or_none(delay)}
        case Released(delay=delay):
            return {**common, "kind": "released", "delay": _milliseconds_or_none(delay)}
        case Cancelled(reason=reason):
            return {**common, "kind": "cancelled", "error": reason}


def claim_of(row: Row) -> Claim:
    """The claim that a claimed row stands for."""
    record = record_of(row)
    return Claim(record, record.fencing_token or "")


def record_of(row: Row) -> JobRecord:
    """The job of a row."""
    return JobRecord(
        id=text_of(row["id"]),
        job_name=text_of(row["job_name"]),
        params=text_of(row["params"]),
        status=JobStatus(text_of(row["status"])),
        created_at=time_of(row["created_at"]) or EPOCH,
        updated_at=time_of(row["updated_at"]) or EPOCH,
        queue=text_of(row["queue"]),
        priority=integer_of(row["priority"]),
        spec_version=integer_of(row["spec_version"]),
        result=_text_or_none(row["result"]),
        progress=integer_of(row["progress"]),
        progress_message=_text_or_none(row["progress_message"]),
        error=_text_or_none(row["error"]),
        attempt_count=integer_of(row["attempt_count"]),
        max_attempts=integer_of(row["max_attempts"]),
        scheduled_for=time_of(row["scheduled_for"]),
        worker_started_at=time_of(row["worker_started_at"]),
        worker_expires_at=time_of(row["worker_expires_at"]),
        completed_at=time_of(row["completed_at"]),
        correlation_id=_text_or_none(row["correlation_id"]),
        unique_key=_text_or_none(row["unique_key"]),
        cancel_requested=bool(row["cancel_requested"]),
        fencing_token=_text_or_none(row["fencing_token"]),
    )


def schedule_of(row: Row) -> ScheduleRecord:
    """The schedule of a row."""
    return ScheduleRecord(
        id=text_of(row["id"]),
        job_name=text_of(row["job_name"]),
        name=text_of(row["name"]),
        cron_expression=text_of(row["cron_expression"]),
        timezone=text_of(row["timezone"]),
        misfire=text_of(row["misfire"]),
        params=text_of(row["params"]),
        enabled=bool(row["enabled"]),
        last_run_at=time_of(row["last_run_at"]),
        next_run_at=time_of(row["next_run_at"]),
        last_job_id=_text_or_none(row["last_job_id"]),
    )


def text_of(value: Value) -> str:
    """A column that holds text; SQLite keeps whatever type another program wrote."""
    return value if isinstance(value, str) else str(value)


def _text_or_none(value: Value) -> str | None:
    return None if value is None else text_of(value)


def integer_of(value: Value) -> int:
    """The number in a column, 0 for NULL. A row written by hand can hold anything; it must not stop other rows."""
    try:
        return int(value or 0)
    except (ValueError, OverflowError):
        return 0


def milliseconds(duration: timedelta) -> int:
    """A length of time, as SQL reckons with it."""
    return duration // _MILLISECOND


def _milliseconds_or_none(duration: timedelta | None) -> int | None:
    return None if duration is None else milliseconds(duration)


def timestamp(moment: datetime) -> int:
    """A moment, as it is stored."""
    return (moment - EPOCH) // _MILLISECOND


def time_of(value: Value) -> datetime | None:
    """The moment that was stored."""
    try:
        return None if value is None else EPOCH + timedelta(milliseconds=integer_of(value))
    except OverflowError:
        return EPOCH
