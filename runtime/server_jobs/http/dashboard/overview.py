"""The first page, with findings and the numbers of each queue, and the page of failures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.responses import Response

from ...domain.record import JobQuery, JobRecord, JobStatus
from ...domain.statistics import FailureGroup
from .attention import findings
from .charts import hour_of
from .numbers import queue_rows, readable_pauses, readable_schedules
from .rendering import show
from .visit import Visit

_SUMS = ("due", "scheduled", "running", "failed", "parked")
_NEWEST = 500
_NEVER = datetime.min.replace(tzinfo=UTC)


async def overview(visit: Visit) -> Response:
    """Show the first page."""
    rows, states, counts = await queue_rows(visit)
    paused = await readable_pauses(visit)
    workers = await visit.store.workers() if visit.reads_everything else None
    schedules = await readable_schedules(visit)
    return show(
        visit,
        "overview.html",
        findings=await findings(visit, states, paused, workers, schedules, counts),
        rows=rows,
        hour=hour_of(counts, visit.now),
        workers=workers,
        alive=sum(worker.is_alive for worker in workers or ()),
        slots=sum(worker.report.concurrency for worker in workers or () if worker.is_alive),
        sums={name: sum(getattr(row, name) for row in rows) for name in _SUMS},
        schedules=schedules,
    )


async def failures(visit: Visit) -> Response:
    """Show the groups, the largest first."""
    queues = visit.queues
    if queues is None:
        groups: Sequence[FailureGroup] = await visit.recent.get("failures", visit.store.failure_groups)
    else:
        query = JobQuery(status=JobStatus.FAILED, queues=queues, limit=_NEWEST)
        groups = _groups_of(await visit.store.list_jobs(query))
    ordered = sorted(groups, key=lambda group: (-group.count, group.failed_at or _NEVER))
    return show(visit, "failures.html", groups=ordered, total=sum(group.count for group in groups), newest=_NEWEST)


def _groups_of(found: Sequence[JobRecord]) -> list[FailureGroup]:
    """Group the newest failed jobs of some queues. The groups of the store cover every queue."""
    groups: defaultdict[tuple[str, str | None], list[JobRecord]] = defaultdict(list)
    for record in found:
        groups[record.job_name, record.error_class].append(record)
    return [
        FailureGroup(
            job_name=name,
            error_class=error_class,
            count=len(records),
            newest_id=records[0].id,
            error=records[0].error,
            failed_at=records[0].completed_at,
        )
        for (name, error_class), records in groups.items()
    ]
