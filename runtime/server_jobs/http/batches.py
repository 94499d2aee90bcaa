"""The route of a batch."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..domain.record import JobQuery
from ..inspection.job_document import batch_document
from ..security.tokens import Scope
from .gate import backend_of, caller_of
from .problem_document import RefusedError


async def batch(request: Request) -> Response:
    """Return the counts of a batch. All its jobs have one queue; callers without the scope for it get 404."""
    store, batch_id = backend_of(request).store, request.path_params["id"]
    counts = await store.count_batch(batch_id)
    if counts is not None and not caller_of(request).may(Scope.READ):
        page = await store.find_page(JobQuery(batch_id=batch_id, limit=1))
        if not page.jobs or not caller_of(request).may(Scope.READ, page.jobs[0].queue):
            counts = None
    if counts is None:
        raise RefusedError(404, "there is no batch with that id")
    return JSONResponse(batch_document(batch_id, counts))
