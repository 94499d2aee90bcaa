"""The page of one job: its progress, why it waits, its attempts, its params and its result."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from ...domain.audit import AuditQuery
from ...domain.record import JobRecord, JobStatus
from ...inspection.job_document import shown_params
from ...inspection.why import Cause
from .job_actions import ACTIONS, Action
from .rendering import show
from .visit import Visit

_MOST_ENTRIES = 20
_SETTLED = (Cause.FINISHED, Cause.RUNNING)


async def job(visit: Visit) -> Response:
    """Show one job."""
    job_id: str = visit.request.path_params["id"]
    await visit.check_reads_job(job_id)
    record, reasons = await visit.why(job_id)
    attempts = await visit.store.attempts(job_id)
    registered = visit.registry.get(record.job_name)
    return show(
        visit,
        "job.html",
        job=record,
        reasons=[reason for reason in reasons if reason.cause not in _SETTLED],
        running=next((reason for reason in reasons if reason.cause is Cause.RUNNING), None),
        attempts=list(reversed(attempts)),
        params=shown_params(record, visit.registry),
        audit=await visit.store.audit_log(AuditQuery(target=job_id, limit=_MOST_ENTRIES)),
        actions=actions_for(visit, record),
        newest_version=None if registered is None else registered.options.version,
    )


def actions_for(visit: Visit, record: JobRecord) -> Sequence[Action]:
    """Return the actions that the caller may use and that can change the job now."""
    if not visit.operates(record.queue):
        return ()
    finished = record.status in (JobStatus.FAILED, JobStatus.CANCELLED)
    waits = record.status is JobStatus.PENDING
    possible = {
        "retry": finished,
        "cancel": waits or (record.status is JobStatus.RUNNING and not record.cancel_requested) or record.is_parked,
        "repair": record.is_parked and visit.registry.has(record.job_name),
        "delete": record.status is not JobStatus.RUNNING,
    }
    return [ACTIONS[name] for name, is_possible in possible.items() if is_possible]
