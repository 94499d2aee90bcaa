"""The routes for operators: trigger a tick, status, health."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..domain.record import JobQuery
from ..engine.tick import tick
from .gate import backend_of
from .http_options import HttpOptions
from .jobs import summary_documents
from .stopping import Stopping

_logger = logging.getLogger("server_jobs")

_RECENT = 10


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


async def status(request: Request) -> Response:
    """Return counts by job and status, paused queues, and the newest jobs without their data."""
    store = backend_of(request).store
    counts = await store.count_jobs()
    recent = await store.list_summaries(JobQuery(limit=_RECENT))
    paused = await store.paused_queues()
    return JSONResponse(
        {
            "counts": [{"job_name": one.job_name, "status": one.status, "count": one.count} for one in counts],
            "jobs": await summary_documents(store, recent),
            "paused_queues": [queue.name for queue in paused],
        }
    )


async def health(request: Request) -> Response:
    """Return 200 if the database answers, else 503."""
    found = await backend_of(request).health_check()
    if not found.ok:
        _logger.error("not healthy: %s", found.detail)
    return JSONResponse({"ok": found.ok}, 200 if found.ok else 503)
