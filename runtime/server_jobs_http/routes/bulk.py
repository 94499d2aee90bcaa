"""The routes that change all jobs of a filter."""

from __future__ import annotations

from functools import partial

from pydantic import Field
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import EVERY_JOB, JobFilter, Retrial
from server_jobs.domain.search import FindStep
from server_jobs.engine.bulk import BulkAction, BulkResult, change_page
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import for_some_queue
from ..body import json_body
from ..described_route import Answer, DescribedRoute, Description
from ..gate import actor_of, backend_of
from ..http_options import HttpOptions
from ..problem_document import RefusedError
from ..reading import read_body
from ..schema_parts import ref
from ..searching import Steps, steps_of
from .enqueuing import wake
from .jobs import FilterFields, Place, check_next, filter_of


class BulkBody(FilterFields):
    """The jobs to change; at least one field has to choose them.

    One request changes a part of them. `next` of the answer is the `after` of the next request.
    """

    parked: bool = Field(False, strict=True, description="Only jobs that failed because their params cannot be read.")
    after: Place | None = Field(
        None, description="Only jobs newer than the job with this id: the `next` of the last answer."
    )
    dry_run: bool = Field(False, strict=True, description="Count the jobs, and change nothing.")

    def among(self, registry: JobRegistry, queues: tuple[str, ...] | None) -> JobFilter:
        """Return the filter for jobs of these queues; None: all.

        Raises `RefusedError` for a wrong condition, and if no field chooses the jobs: `{}` would change all of them.
        """
        if super().among(registry, None if self.queue is None else (self.queue,)) == EVERY_JOB:
            raise RefusedError(422, "give a field that chooses the jobs, such as job_name")
        return super().among(registry, queues)


async def change_many(action: BulkAction, request: Request) -> Response:
    """Change the jobs of a filter, as far as the budget of a request goes. `next` is where to continue, or null."""
    options: HttpOptions = request.app.state.options
    body = read_body(BulkBody, await json_body(request, within=options.body_timeout))
    among = filter_of(request, body, Scope.ADMIN)
    async with steps_of(request, among) as steps:
        result = await change_part(backend_of(request).store, action, body, among, steps, by=actor_of(request))
    if result.results[Retrial.RETRIED]:
        wake(request)
    return JSONResponse(bulk_document(result, dry_run=body.dry_run))


async def change_part(
    store: Store, action: BulkAction, body: BulkBody, among: JobFilter, steps: Steps, *, by: str
) -> BulkResult:
    """Change the jobs that one request looks at. Raises `RefusedError` for a wrong place."""
    await check_next(store, body.after, "after")
    result = BulkResult(after=body.after or "")
    while result.after is not None and steps.may_go_on():
        step = FindStep(filter=action.among(among), after=result.after)
        await change_page(store, action, step, result, by=by, dry_run=body.dry_run)
    return result


def bulk_document(result: BulkResult, *, dry_run: bool) -> dict[str, object]:
    """Return the answer of `change_many`."""
    found = [{"job_name": name, "status": status, "count": count} for (name, status), count in result.found.items()]
    return {"found": found, "dry_run": dry_run, "results": dict(result.results), "next": result.after}


def _described(action: BulkAction, summary: str) -> DescribedRoute:
    described = Description(
        "POST",
        f"/bulk/{action}",
        name=f"{action}_jobs",
        summary=summary,
        scope=Scope.ADMIN,
        reach=for_some_queue,
        body=BulkBody,
        answers={200: Answer(ref("BulkResult"))},
    )
    return described(partial(change_many, action))


BULK = (
    _described(BulkAction.RETRY, "Make all failed jobs of a filter pending again, or those in the stated status."),
    _described(BulkAction.CANCEL, "Cancel all pending jobs of a filter, and ask the running ones to stop."),
    _described(BulkAction.DELETE, "Delete all pending and finished jobs of a filter."),
)
