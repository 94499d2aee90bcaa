"""The first page, with findings and the numbers of each queue, and the page of failures."""

from __future__ import annotations

from datetime import UTC, datetime

from server_jobs.domain.statistics import MOST_OF_GROUP
from starlette.responses import Response

from .attention import findings
from .charts import hour_of
from .numbers import queue_rows, readable_pauses, readable_schedules
from .rendering import note_of, show
from .visit import Visit

_SUMS = ("due", "scheduled", "running", "failed", "parked")
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
        note=note_of(visit, [row.name for row in rows]),
        findings=await findings(visit, states, paused, workers, schedules, counts),
        rows=rows,
        hour=hour_of(counts, visit.now),
        workers=workers,
        alive=sum(worker.is_alive for worker in workers or ()),
        died=sum(not worker.is_alive and not worker.report.is_tick for worker in workers or ()),
        slots=sum(worker.report.concurrency for worker in workers or () if worker.is_alive),
        sums={name: sum(getattr(row, name) for row in rows) for name in _SUMS},
        schedules=schedules,
    )


async def failures(visit: Visit) -> Response:
    """Show the groups, the largest first."""
    queues = visit.queues
    groups = await visit.recent.get(
        f"failures {queues}", lambda: visit.store.failure_groups(queues=queues, most=MOST_OF_GROUP)
    )
    ordered = sorted(groups, key=lambda group: (-group.count, group.failed_at or _NEVER))
    total = sum(group.count for group in groups)
    is_more = any(group.count >= MOST_OF_GROUP for group in groups)
    return show(visit, "failures.html", groups=ordered, total=total, is_more=is_more, most=MOST_OF_GROUP)
