"""The routes for operators: a tick, status, health, workers, the OpenAPI document; attempts of a job, why it waits.

The last three import what they need with the first request, because each module costs start time of a Worker.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobCount, JobQuery, JobStatus
from server_jobs.domain.search import MOST_SCANNED
from server_jobs.domain.statistics import MOST_COUNTED
from server_jobs.engine.tick import tick
from server_jobs.inspection.job_document import job_summary
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import for_its_job, summary_for
from ..described_route import Answer, Description
from ..gate import backend_of, caller_of
from ..http_options import HttpOptions
from ..schema_parts import INTEGER, STATUS, TEXT, array_of, object_of, ref
from ..stopping import Stopping
from .jobs import JOB_ID

_logger = logging.getLogger("server_jobs")

_RECENT = 10

_COUNT = object_of({"job_name": TEXT, "status": STATUS, "count": INTEGER})
_TICK = object_of(
    {
        "status": {"const": "triggered"},
        **dict.fromkeys(("expired", "scheduled", "completed", "failed"), INTEGER),
    }
)
_STATUS = object_of(
    {
        "exact": {
            "type": "boolean",
            "description": f"False with {MOST_SCANNED:,} jobs or more: the counts are then the least numbers.",
        },
        "counts": array_of(_COUNT),
        "jobs": array_of(ref("JobSummary")),
        "paused_queues": array_of(TEXT),
    }
)
_HEALTH = object_of({"ok": {"type": "boolean"}})
_WHY = object_of({"id": TEXT, "job_name": TEXT, "status": STATUS, "reasons": array_of(ref("Reason"))})


class OpenApiDocument(Protocol):
    """Makes the OpenAPI document. `server` is the URL of the routes."""

    def __call__(self, registry: JobRegistry, /, *, server: str) -> object: ...


@Description(
    "POST",
    "/trigger",
    name="trigger",
    summary="Run one tick: expire leases, fire schedules, run due jobs, and prune.",
    scope=Scope.ADMIN,
    answers={200: Answer(_TICK)},
)
async def trigger(request: Request) -> Response:
    """Run one tick: expire leases, fire schedules, then run due jobs, within the budget."""
    options: HttpOptions = request.app.state.options
    stopping: Stopping = request.app.state.stopping
    done = await stopping.within(tick(backend_of(request), budget=options.trigger_budget))
    return JSONResponse(
        {
            "status": "triggered",
            "expired": done.expired,
            "scheduled": done.scheduled,
            "completed": done.completed,
            "failed": done.failed,
        }
    )


@Description(
    "GET",
    "/status",
    name="status",
    summary="Return the number of jobs by name and status, and the newest jobs.",
    scope=Scope.READ,
    answers={200: Answer(_STATUS)},
)
async def status(request: Request) -> Response:
    """Return counts by job and status, paused queues, and the newest jobs without their data.

    With `MOST_SCANNED` jobs or more, the counts are not exact: see `_at_least`.
    """
    store = backend_of(request).store
    counts = await store.count_jobs(newest=MOST_SCANNED)
    is_exact = sum(one.count for one in counts) < MOST_SCANNED
    if not is_exact:
        counts = await _at_least(store, counts)
    recent = await store.list_summaries(JobQuery(limit=_RECENT))
    paused = await store.paused_queues()
    return JSONResponse(
        {
            "exact": is_exact,
            "counts": [{"job_name": one.job_name, "status": one.status, "count": one.count} for one in counts],
            "jobs": [job_summary(one) for one in recent],
            "paused_queues": [queue.name for queue in paused],
        }
    )


async def _at_least(store: Store, newest: Sequence[JobCount]) -> list[JobCount]:
    """Return the least number of jobs by name and status, at a cost that does not depend on the number of jobs.

    For each queue and name, indexes find up to `MOST_SCANNED` pending or running jobs and up to `MOST_COUNTED` failed
    ones. Completed and cancelled jobs are counted among the newest jobs.
    """
    counts: Counter[tuple[str, JobStatus]] = Counter()
    for one in newest:
        if one.status in (JobStatus.COMPLETED, JobStatus.CANCELLED):
            counts[one.job_name, one.status] = one.count
    for state in await store.queue_states(most=MOST_SCANNED, most_failed=MOST_COUNTED):
        counts[state.job_name, JobStatus.PENDING] += state.due + state.scheduled
        counts[state.job_name, JobStatus.RUNNING] += state.running
        counts[state.job_name, JobStatus.FAILED] += state.failed
    return [JobCount(*key, count) for key, count in sorted(counts.items()) if count]


@Description(
    "GET",
    "/health",
    name="health",
    summary="Return whether the database answers.",
    answers={200: Answer(_HEALTH, "The database answers."), 503: Answer(_HEALTH, "The database does not answer.")},
)
async def health(request: Request) -> Response:
    """Return 200 if the database answers, else 503."""
    found = await backend_of(request).health_check()
    if not found.ok:
        _logger.error("not healthy: %s", found.detail)
    return JSONResponse({"ok": found.ok}, 200 if found.ok else 503)


@Description(
    "GET",
    "/openapi.json",
    name="openapi",
    summary="Return this document.",
    answers={200: Answer({"type": "object"})},
)
async def openapi(request: Request) -> Response:
    """Return the OpenAPI document of the application, for the jobs that callers may enqueue."""
    document: OpenApiDocument = request.app.state.openapi_document
    return JSONResponse(document(backend_of(request).registry, server=request.scope.get("root_path") or "/"))


@Description(
    "GET",
    "/jobs/{id}/attempts",
    name="list_attempts",
    summary="Return the last attempts of a job that did not complete, oldest first.",
    scope=Scope.READ,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={200: Answer(object_of({"attempts": array_of(ref("Attempt"))}))},
)
async def attempts(request: Request) -> Response:
    """Return the last attempts of a job that did not complete, oldest first."""
    from server_jobs.inspection.history_document import attempt_document

    await summary_for(request)
    found = await backend_of(request).store.attempts(request.path_params["id"])
    return JSONResponse({"attempts": [attempt_document(attempt) for attempt in found]})


@Description(
    "GET",
    "/jobs/{id}/why",
    name="explain_job",
    summary="Return why a job waits, runs or has ended, the weightiest reason first.",
    scope=Scope.READ,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={200: Answer(_WHY)},
)
async def explain(request: Request) -> Response:
    """Return why a job waits, runs or has ended, the weightiest reason first."""
    from server_jobs.inspection.history_document import why_document
    from server_jobs.inspection.why import why

    backend = backend_of(request)
    reads_everything = caller_of(request).may(Scope.READ)  # workers belong to every queue
    record, reasons = await why(
        backend.store, backend.registry, request.path_params["id"], reads_everything=reads_everything
    )
    return JSONResponse(why_document(record, reasons))


@Description(
    "GET",
    "/workers",
    name="list_workers",
    summary="Return the workers that are alive, and those that died within a week.",
    scope=Scope.READ,
    answers={200: Answer(object_of({"workers": array_of(ref("Worker"))}))},
)
async def workers(request: Request) -> Response:
    """Return the living workers, and the workers that died within a week."""
    from server_jobs.inspection.history_document import worker_document

    found = await backend_of(request).store.workers()
    return JSONResponse({"workers": [worker_document(worker) for worker in found]})
