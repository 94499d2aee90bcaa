"""The changes of a record that each call may make: the rules of `server_jobs.domain.lifecycle` as separate checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from server_jobs.domain.record import (
    Cancelled,
    ClaimRequest,
    Completed,
    Failed,
    Firing,
    Heartbeat,
    JobRecord,
    JobStatus,
    NewJob,
    Released,
    Settlement,
)

_ENDS = {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}
_PENDING, _RUNNING = {JobStatus.PENDING}, {JobStatus.RUNNING}

ALLOWED: Mapping[tuple[str, JobStatus | None], set[JobStatus]] = {
    ("insert", None): _PENDING,
    ("fire", None): _PENDING,
    ("start", None): _RUNNING,
    ("claim", JobStatus.PENDING): _RUNNING,
    ("claim_one", JobStatus.PENDING): _RUNNING,
    ("renew", JobStatus.RUNNING): _RUNNING,
    ("settle", JobStatus.RUNNING): _ENDS | _PENDING,
    ("expire", JobStatus.RUNNING): {JobStatus.PENDING, JobStatus.FAILED, JobStatus.CANCELLED},
    ("cancel_late", JobStatus.PENDING): {JobStatus.CANCELLED},
    ("cancel", JobStatus.PENDING): {JobStatus.CANCELLED},
    ("cancel", JobStatus.RUNNING): _RUNNING,
    ("retry", JobStatus.FAILED): _PENDING,
    ("retry", JobStatus.CANCELLED): _PENDING,
    ("end_batches", JobStatus.PENDING): _PENDING,
}

_NEVER_CHANGE = (
    "id", "job_name", "params", "queue", "priority", "spec_version", "max_attempts", "correlation_id", "created_at",
    "unique_key", "batch_id",
)  # fmt: skip

_ROUNDING = timedelta(milliseconds=2)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the store: its method, its main argument, and the time of the store's clock."""

    method: str
    subject: object
    now: datetime


def problems_of(call: Call, before: JobRecord | None, after: JobRecord) -> list[str]:
    """Return the problems of this change."""
    status = None if before is None else before.status
    if after.status not in ALLOWED.get((call.method, status), set()):
        return [f"{call.method} made {after.status} of {status}, changing {_differences(before, after)}"]
    problems = [*_problems_of_state(after), *_problems_of_time(call, before, after)]
    if before is None:
        problems += [] if after.id in _new_jobs(call) else [f"{call.method} invented the job"]
        problems += _expected("attempt_count", after.attempt_count, 1 if after.status is JobStatus.RUNNING else 0)
        return problems
    for name in _NEVER_CHANGE:
        problems += _expected(name, getattr(after, name), getattr(before, name))
    return problems + _problems_of_move(call, before, after)


def is_filled_in(before: JobRecord, after: JobRecord) -> bool:
    """Return whether a claim has only added missing keys of limits."""
    return set(_differences(before, after)) <= {"concurrency_key", "rate_key"} and before.status is after.status


def _problems_of_state(record: JobRecord) -> list[str]:
    is_running = record.status is JobStatus.RUNNING
    problems = _expected("having a token", record.fencing_token is not None, is_running)
    problems += _expected("having a lease", record.worker_expires_at is not None, is_running)
    problems += _expected("having an end", record.completed_at is not None, record.status.is_finished)
    if not 0 <= record.attempt_count <= record.max_attempts:
        problems.append(f"attempt_count is {record.attempt_count} of {record.max_attempts}")
    if not 0 <= record.progress <= 100:
        problems.append(f"progress is {record.progress}")
    return problems


def _problems_of_time(call: Call, before: JobRecord | None, after: JobRecord) -> list[str]:
    if before == after or abs(after.updated_at - call.now) <= _ROUNDING:
        return []
    return [f"updated_at is {after.updated_at}, and it is {call.now}"]


def _problems_of_move(call: Call, before: JobRecord, after: JobRecord) -> list[str]:
    match call.method, call.subject:
        case "claim" | "claim_one", ClaimRequest() as request:
            return _problems_of_claim(call, request, before, after)
        case "renew", [*_] as heartbeats:
            beat = _presented(heartbeats, before)
            return [] if isinstance(beat, Heartbeat) else ["a heartbeat without the newest token was believed"]
        case "settle", [*_] as settlements:
            settlement = _presented(settlements, before)
            if not isinstance(settlement, Settlement):
                return ["an outcome without the newest token was stored"]
            return _problems_of_outcome(call, settlement, before, after)
        case "expire", _:
            return _problems_of_expiry(call, before, after)
        case "end_batches", _:
            return _expected("waiting", before.waits_for_batch, True) + _near("due", after.scheduled_for, call.now)
        case "cancel_late", _:
            is_late = before.start_before is not None and before.start_before < call.now
            return [] if is_late else [f"it was cancelled as late, and may start until {before.start_before}"]
        case "retry", _:
            return _expected("attempt_count", after.attempt_count, 0)
        case _:
            return _expected("attempt_count", after.attempt_count, before.attempt_count)


def _problems_of_claim(call: Call, request: ClaimRequest, before: JobRecord, after: JobRecord) -> list[str]:
    problems = _expected("attempt_count", after.attempt_count, before.attempt_count + 1)
    if (before.job_name, before.spec_version) not in {(job.name, job.version) for job in request.known}:
        problems.append("it was claimed by a worker that does not know it")
    if request.queues is not None and before.queue not in request.queues:
        problems.append(f"it was claimed from the queue {before.queue}")
    if call.method == "claim" and before.scheduled_for > call.now:
        problems.append(f"it was claimed before it was due at {before.scheduled_for}")
    if before.start_before is not None and before.start_before < call.now:
        problems.append(f"it was claimed late, and had to start by {before.start_before}")
    return problems + _near("worker_expires_at", after.worker_expires_at, call.now + request.lease)


def _problems_of_outcome(call: Call, settlement: Settlement, before: JobRecord, after: JobRecord) -> list[str]:
    taken_back = JobStatus.CANCELLED if before.cancel_requested else JobStatus.PENDING
    match settlement:
        case Completed(result=result):
            problems = _expected("status", after.status, JobStatus.COMPLETED)
            problems += _expected("result", after.result, result)
        case Released():
            problems = _expected("status", after.status, taken_back)
            return problems + _expected("attempt_count", after.attempt_count, before.attempt_count - 1)
        case Cancelled():
            problems = _expected("status", after.status, JobStatus.CANCELLED)
        case Failed(error=error, retry_after=delay):
            is_final = delay is None or before.attempt_count >= before.max_attempts
            failed = JobStatus.FAILED if is_final and not before.cancel_requested else taken_back
            problems = _expected("status", after.status, failed) + _expected("error", after.error, error)
            if after.status is JobStatus.PENDING and delay is not None:
                problems += _near("scheduled_for", after.scheduled_for, call.now + delay)
    return problems + _expected("attempt_count", after.attempt_count, before.attempt_count)


def _problems_of_expiry(call: Call, before: JobRecord, after: JobRecord) -> list[str]:
    if before.worker_expires_at is None or before.worker_expires_at >= call.now:
        return [f"it expired at {call.now}, and its lease lasts until {before.worker_expires_at}"]
    is_final = before.attempt_count >= before.max_attempts
    failed = JobStatus.FAILED if is_final else JobStatus.PENDING
    problems = _expected("status", after.status, JobStatus.CANCELLED if before.cancel_requested else failed)
    return problems + _expected("attempt_count", after.attempt_count, before.attempt_count)


def _presented(items: Sequence[object], before: JobRecord) -> Heartbeat | Settlement | None:
    """Return the item with the newest token of this job."""
    for item in items:
        if isinstance(item, Heartbeat | Settlement) and (item.id, item.token) == (before.id, before.fencing_token):
            return item
    return None


def _new_jobs(call: Call) -> set[str]:
    match call.subject:
        case NewJob(id=job_id):
            return {job_id}
        case Firing(slots=slots):
            return {job.id for _, job in slots}
        case [*jobs]:
            return {job.id for job in jobs if isinstance(job, NewJob)}
        case _:
            return set()


def _differences(before: JobRecord | None, after: JobRecord) -> list[str]:
    if before is None:
        return ["everything"]
    return [field.name for field in fields(after) if getattr(before, field.name) != getattr(after, field.name)]


def _expected(name: str, found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{name} is {found!r} instead of {expected!r}"]


def _near(name: str, found: datetime | None, expected: datetime) -> list[str]:
    if found is not None and abs(found - expected) <= _ROUNDING:
        return []
    return [f"{name} is {found} instead of {expected}"]


def problems_of_all(records: Mapping[str, JobRecord]) -> list[str]:
    """Return the problems of all jobs together: unique keys that two unfinished jobs share."""
    keys = [record.unique_key for record in records.values() if record.unique_key and not record.status.is_finished]
    return [
        f"{keys.count(key)} unfinished jobs have the unique key {key}"
        for key in sorted(set(keys))
        if keys.count(key) > 1
    ]
