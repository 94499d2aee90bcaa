"""The routes of the history: attempts of a job, why it waits, and the workers.

They import what they need with the first request, because each module costs start time of a Worker.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..stores.sharded import shards_of
from .gate import backend_of
from .jobs import summary_for


async def attempts(request: Request) -> Response:
    """Return the last attempts of a job that did not complete, oldest first."""
    from ..inspection.history_document import attempt_document

    await summary_for(request)
    found = await backend_of(request).store.attempts(request.path_params["id"])
    return JSONResponse({"attempts": [attempt_document(attempt) for attempt in found]})


async def explain(request: Request) -> Response:
    """Return why a job waits, runs or has ended, the weightiest reason first."""
    from ..inspection.history_document import why_document
    from ..inspection.why import why

    backend = backend_of(request)
    record, reasons = await why(backend.store, backend.registry, request.path_params["id"])
    return JSONResponse(why_document(record, reasons, await shards_of(backend.store, [record.id])))


async def workers(request: Request) -> Response:
    """Return the living workers, and the workers that died within a week."""
    from ..inspection.history_document import worker_document

    found = await backend_of(request).store.workers()
    return JSONResponse({"workers": [worker_document(worker) for worker in found]})
