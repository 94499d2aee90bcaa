"""The state machine of jobs: its moves, as pure functions from a record to the next record.

    move      from                  to
    claim     pending, due          running; attempt + 1, a fresh token, a lease
    renew     running, same token   running; a longer lease, new progress
    settle    running, same token   completed, or
              Failed                cancelled if asked to cancel; pending if attempts are left; failed
              Released              cancelled if asked to cancel; pending, the attempt does not count
              Cancelled             cancelled
    expire    running, lease over   cancelled if asked to cancel; pending if attempts are left; failed
    cancel    pending, parked       cancelled
              running               running, asked to cancel
    retry     failed, cancelled     pending, all attempts anew
    repair    pending, parked       pending, all attempts anew, with other params

Only `retry` changes a finished job. A parked job is a failed job with unreadable params. `cancel` and `repair` change
it too.

A write under a claim is stale if the row has another token. `is_held` decides that here. The memory store calls these
functions. `stores.statements` and `stores.postgres_statements` have one SQL statement per move. The conformance suite
tests all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack, assert_never

from .record import (
    Cancelled,
    Completed,
    Failed,
    Heartbeat,
    JobRecord,
    JobStatus,
    NewJob,
    Released,
    Settlement,
    record_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .record import ClaimRequest, PruneRule, Repair


def enqueue(job: NewJob, now: datetime) -> JobRecord:
    """Return the record of a new, pending job."""
    return JobRecord(
        id=job.id,
        job_name=job.job_name,
        params=job.params,
        status=JobStatus.PENDING,
        queue=job.queue,
        priority=job.priority,
        spec_version=job.spec_version,
        max_attempts=job.max_attempts,
        scheduled_for=job.scheduled_for or now + job.delay,
        unique_key=job.unique_key,
        correlation_id=job.correlation_id,
        concurrency_key=job.concurrency_key,
        rate_key=job.rate_key,
        created_at=now,
        updated_at=now,
    )


def is_claimable(record: JobRecord, request: ClaimRequest) -> bool:
    """Whether the job is pending, known to the request, and has an attempt left."""
    return (
        record.status is JobStatus.PENDING
        and record.attempt_count < record.max_attempts
        and any(record.job_name == job.name and record.spec_version == job.version for job in request.known)
        and (request.queues is None or record.queue in request.queues)
    )


def is_due(record: JobRecord, now: datetime) -> bool:
    """Whether the job is due."""
    return record.scheduled_for is None or record.scheduled_for <= now


def may_wait(record: JobRecord) -> bool:
    """Whether a claim of this job may wait for a slot: an attempt is left if the worker dies before the start."""
    return record.attempt_count == 0 and record.max_attempts > 1


def claim(record: JobRecord, *, token: str, lease: timedelta, now: datetime) -> JobRecord:
    """Make the job running, under a new token and lease."""
    return _changed(
        record,
        status=JobStatus.RUNNING,
        attempt_count=record.attempt_count + 1,
        fencing_token=token,
        worker_started_at=now,
        worker_expires_at=now + lease,
        progress=0,
        progress_message=None,
        updated_at=now,
    )


def is_held(record: JobRecord, token: str) -> bool:
    """Whether the claim with this token is current. This check fences every write: a stale worker changes nothing."""
    return record.status is JobStatus.RUNNING and record.fencing_token == token


def renew(record: JobRecord, heartbeat: Heartbeat, *, lease: timedelta, now: datetime) -> JobRecord:
    """Renew the lease and store the progress."""
    return _changed(
        record,
        worker_expires_at=now + lease,
        progress=heartbeat.progress,
        progress_message=heartbeat.message,
        updated_at=now,
    )


def settle(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    """Store the outcome of an attempt."""
    if settlement.report is not None:
        record = _changed(record, progress=settlement.report.progress, progress_message=settlement.report.message)
    match settlement:
        case Completed(result=result):
            return _changed(
                record,
                status=JobStatus.COMPLETED,
                result=result,
                error=None,
                progress=100,
                fencing_token=None,
                worker_expires_at=None,
                completed_at=now,
                updated_at=now,
            )
        case Failed(error=error, retry_after=delay):
            return _fail(_changed(record, error=error), None if delay is None else now + delay, now)
        case Released(delay=delay):
            given_back = _changed(record, attempt_count=record.attempt_count - 1)
            if record.cancel_requested:
                return _finish(given_back, JobStatus.CANCELLED, now)
            return _wait(given_back, record.scheduled_for if delay is None else now + delay, now)
        case Cancelled(reason=reason):
            return _finish(_changed(record, error=reason), JobStatus.CANCELLED, now)
        case _:
            assert_never(settlement)


def is_expired(record: JobRecord, now: datetime) -> bool:
    """Whether the lease has expired. It is still valid at `worker_expires_at`."""
    return (
        record.status is JobStatus.RUNNING and record.worker_expires_at is not None and record.worker_expires_at < now
    )


def expire(record: JobRecord, *, due: datetime, now: datetime) -> JobRecord:
    """Expire the lease. The attempt failed: it was counted at the claim."""
    error = f"the worker died or stalled: its lease ran out in attempt {record.attempt_count} of {record.max_attempts}"
    return _fail(_changed(record, error=error), due, now)


def cancel(record: JobRecord, now: datetime) -> JobRecord:
    """Cancel a pending or parked job, ask a running job to stop, and leave a finished job unchanged."""
    match record.status:
        case JobStatus.PENDING:
            return _finish(record, JobStatus.CANCELLED, now)
        case JobStatus.FAILED if record.is_parked:
            return _finish(record, JobStatus.CANCELLED, now)
        case JobStatus.RUNNING:
            return _changed(record, cancel_requested=True, updated_at=now)
        case _:
            return record


def is_retryable(record: JobRecord) -> bool:
    """Whether `retry` may change the job."""
    return record.status in (JobStatus.FAILED, JobStatus.CANCELLED)


def retry(record: JobRecord, now: datetime) -> JobRecord:
    """Make the job pending, as if it were new."""
    return _changed(
        record,
        status=JobStatus.PENDING,
        attempt_count=0,
        scheduled_for=now,
        progress=0,
        progress_message=None,
        error=None,
        cancel_requested=False,
        worker_started_at=None,
        completed_at=None,
        updated_at=now,
    )


def is_repairable(record: JobRecord, repair: Repair) -> bool:
    """Whether the job is pending or parked, and unchanged since the repair was made."""
    return (
        (record.status is JobStatus.PENDING or record.is_parked)
        and record.params == repair.instead_of.params
        and record.spec_version == repair.instead_of.spec_version
    )


def why_unrepairable(record: JobRecord) -> str:
    """Return the reason why `is_repairable` is false."""
    if record.status is JobStatus.PENDING or record.is_parked:
        return "its params are not those that were read, somebody has changed them meanwhile; look at it again"
    if record.status is JobStatus.FAILED:
        return "it failed, and its params could be read; enqueue another one, or retry it"
    return f"it is {record.status}; only a parked or a pending job can be repaired"


def repair(record: JobRecord, repair: Repair, now: datetime) -> JobRecord:
    """Make the job pending with other params, as if it were new."""
    return _changed(
        retry(record, now),
        params=repair.params,
        spec_version=repair.spec_version,
        concurrency_key=repair.concurrency_key,
        rate_key=repair.rate_key,
    )


def is_prunable(record: JobRecord, rules: Iterable[PruneRule], now: datetime) -> bool:
    """Whether one of the rules deletes this job. Parked jobs are never deleted."""
    return (
        record.completed_at is not None
        and not record.is_parked
        and any(
            record.status is rule.status
            and rule.job_name in (None, record.job_name)
            and record.completed_at < now - rule.age
            for rule in rules
        )
    )


def _fail(record: JobRecord, due: datetime | None, now: datetime) -> JobRecord:
    if record.cancel_requested:
        return _finish(record, JobStatus.CANCELLED, now)
    if due is None or record.attempt_count >= record.max_attempts:
        return _finish(record, JobStatus.FAILED, now)
    return _wait(record, due, now)


def _finish(record: JobRecord, status: JobStatus, now: datetime) -> JobRecord:
    return _changed(record, status=status, fencing_token=None, worker_expires_at=None, completed_at=now, updated_at=now)


def _wait(record: JobRecord, due: datetime | None, now: datetime) -> JobRecord:
    return _changed(
        record,
        status=JobStatus.PENDING,
        scheduled_for=due,
        fencing_token=None,
        worker_expires_at=None,
        updated_at=now,
    )


class _Changes(TypedDict, total=False):
    """The fields that moves change."""

    status: JobStatus
    result: str | None
    progress: int
    progress_message: str | None
    error: str | None
    attempt_count: int
    scheduled_for: datetime | None
    worker_started_at: datetime | None
    worker_expires_at: datetime | None
    completed_at: datetime | None
    cancel_requested: bool
    fencing_token: str | None
    updated_at: datetime
    params: str
    spec_version: int
    concurrency_key: str | None
    rate_key: str | None


def _changed(record: JobRecord, **changes: Unpack[_Changes]) -> JobRecord:
    """Like `dataclasses.replace`, ten times faster. The memory store calls it twice per job."""
    return record_of(vars(record), **changes)
