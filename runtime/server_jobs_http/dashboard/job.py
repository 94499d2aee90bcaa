"""The page of one job: its progress, why it waits, its attempts, its params and its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server_jobs.domain.history import AttemptRecord
from server_jobs.domain.record import JOB_COLUMNS, TEXT_FILTERS, JobRecord, JobStatus, Outcome, Shown
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.domain.statistics import BatchCounts
from server_jobs.inspection.job_document import shown_params
from server_jobs.inspection.why import Cause, Reason
from starlette.responses import Response

from .job_actions import ACTIONS, Action
from .rendering import show
from .visit import Visit

_MOST_ENTRIES = 20
_SETTLED = (Cause.FINISHED, Cause.RUNNING)
_ON_PAGE = frozenset(
    {
        *("params", "result", "error", "progress_message", "cancel_requested", "spec_version", "start_before"),
        *(
            "worker_id",
            "worker_started_at",
            "worker_expires_at",
            "correlation_id",
            "batch_id",
            "replaced_by",
            "unique_key",
        ),
    }
)
"""The details that the page shows in its own way."""
_NOT_COUNTED = (Outcome.SNOOZED, Outcome.RELEASED, Outcome.LOST)  # the next attempt has the same number


async def job(visit: Visit) -> Response:
    """Show one job."""
    job_id: str = visit.request.path_params["id"]
    await visit.check_reads_job(job_id)
    record, reasons = await visit.why(job_id)
    attempts = await visit.store.attempts(job_id)
    registered = visit.registry.get(record.job_name)
    workers = await visit.store.workers() if visit.reads_everything and (attempts or record.worker_id) else ()
    return show(
        visit,
        "job.html",
        job=record,
        batch=await _batch_counts(visit, record),
        details=_details(record),
        reasons=[_with_links(reason) for reason in reasons if reason.cause not in _SETTLED],
        running=next((reason for reason in reasons if reason.cause is Cause.RUNNING), None),
        runs=_runs(record, attempts),
        workers={one.report.id: f"{one.report.host}:{one.report.pid}" for one in workers},
        params=shown_params(record, visit.registry),
        audit=await visit.store.audit_log(AuditQuery(target=job_id, limit=_MOST_ENTRIES)),
        actions=actions_for(visit, record),
        newest_version=None if registered is None else registered.options.version,
        timeout=None if registered is None else registered.options.timeout,
    )


def _details(record: JobRecord) -> list[tuple[str, object, str | None]]:
    """Return the label, the value and the filter of the other details of a job."""
    names = (name for name, one in JOB_COLUMNS.items() if one.shown is Shown.DETAILS and name not in _ON_PAGE)
    found = ((name, getattr(record, name)) for name in names)
    filters = {name: one.option for name, one in TEXT_FILTERS.items()}
    return [(JOB_COLUMNS[name].label, value, filters.get(name)) for name, value in found if value is not None]


async def _batch_counts(visit: Visit, record: JobRecord) -> BatchCounts | None:
    """Return the counts of its batch. The caller may not read the queue of the jobs before every completion job."""
    if record.batch_id is None or (record.is_completion and not visit.reads_everything):
        return None
    return await visit.store.count_batch(record.batch_id)


def _with_links(reason: Reason) -> Reason:
    """Return the reason without the ids of its jobs in the text. The page has links to them below."""
    before, ids, after = reason.text.rpartition(", ".join(reason.jobs)) if reason.jobs else ("", "", reason.text)
    if not ids:
        return reason
    return replace(reason, text=f"{before}{'this job' if len(reason.jobs) == 1 else 'these jobs'}{after}")


def _runs(record: JobRecord, attempts: Sequence[AttemptRecord]) -> list[list[AttemptRecord]]:
    """Return the attempts, the newest first, by run. A retry or a repair begins a new run, with attempt 1.

    The first list has the attempts of the current run before the attempt that runs or completed the job.
    """
    is_last_apart = record.status in (JobStatus.RUNNING, JobStatus.COMPLETED)
    runs: list[list[AttemptRecord]] = [[]]
    following = record.attempt_count + (0 if is_last_apart else 1)
    for attempt in reversed(attempts):
        if attempt.attempt > following or (attempt.attempt == following and attempt.outcome not in _NOT_COUNTED):
            runs.append([])
        runs[-1].append(attempt)
        following = attempt.attempt
    return runs


def actions_for(visit: Visit, record: JobRecord) -> Sequence[Action]:
    """Return the actions that the caller may use and that can change the job now."""
    if not visit.operates(record.queue):
        return ()
    finished = record.status in (JobStatus.FAILED, JobStatus.CANCELLED)
    waits = record.status is JobStatus.PENDING
    possible = {
        "retry": finished,
        "cancel": waits or (record.status is JobStatus.RUNNING and not record.cancel_requested) or record.is_parked,
        "repair": record.is_parked
        and (job := visit.registry.get(record.job_name)) is not None
        and job.enqueued_by is None,
        "delete": record.status is not JobStatus.RUNNING,
    }
    return [ACTIONS[name] for name, is_possible in possible.items() if is_possible]
