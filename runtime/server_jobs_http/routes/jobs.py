"""The routes of stored jobs: list, show, cancel, retry and delete."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from server_jobs.domain.interfaces import JobReader, Store
from server_jobs.domain.record import TEXT_FILTERS, Cancellation, Deletion, JobFilter, JobQuery, JobStatus
from server_jobs.domain.search import FindStep
from server_jobs.engine.bulk import with_conditions
from server_jobs.errors import InvalidOptionError, JobNotFoundError, Problem
from server_jobs.inspection.job_document import job_summary, shown_job
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import check_queue, check_scope, for_its_job, for_some_queue, summary_for
from ..described_route import Answer, Description
from ..gate import actor_of, backend_of, caller_of
from ..problem_document import RefusedError
from ..reading import REQUEST_DOES_NOT_FIT, Delay, Text, query_of, text_field, with_texts
from ..schema_parts import TEXT_OR_NULL, array_of, object_of, ref
from ..searching import Steps, steps_of
from .enqueuing import wake

Listed = TypeVar("Listed")

LONGEST_PAGE = 200
MOST_CONDITIONS = 10

_WHOLE_NUMBER = re.compile("[+-]?[0-9]+")
_ENOUGH_DIGITS = 20
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Place = Annotated[Text, WithJsonSchema({"type": "string", "format": "uuid"})]
"""The `next` of a page or an answer."""

JOB_ID = {"id": "The id of the job."}
_PAGE = object_of(
    {
        "jobs": array_of(ref("JobSummary")),
        "next": {**TEXT_OR_NULL, "description": "The `before` of the next page, also after a page that is not full."},
    }
)
_CANCELLED = object_of({"outcome": {"enum": [str(Cancellation.CANCELLED), str(Cancellation.REQUESTED)]}})
_DELETED = object_of({"outcome": {"const": str(Deletion.DELETED)}})


def _clamped(value: object) -> object:
    """Limit the size of a page to the allowed range."""
    text = str(value)
    if _WHOLE_NUMBER.fullmatch(text) is None:
        raise PydanticCustomError("int_parsing", "Input should be a whole number")
    return min(max(int(text[:_ENOUGH_DIGITS]), 1), LONGEST_PAGE)


@with_texts({name: text_field(one.about) for name, one in TEXT_FILTERS.items()})
class FilterFields(BaseModel):
    """Which jobs: those that match every given field."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    status: JobStatus | None = Field(None, description="Only jobs in this status.")
    parked: bool = Field(False, description="Only jobs that failed because their params cannot be read.")
    job_name: Text | None = Field(None, description=TEXT_FILTERS["job_name"].about)
    queue: Text | None = Field(None, description="Only jobs of this queue.")
    older_than: Delay | None = Field(
        None, description="Only jobs that ended longer ago; unfinished ones that were created longer ago."
    )
    newer_than: Delay | None = Field(
        None, description="Only jobs that ended later; unfinished ones that were created later."
    )
    where: list[Text] = Field(
        [],
        max_length=MOST_CONDITIONS,
        description="Only jobs with these values, such as `params.customerId=42`. Those of params need `job_name`.",
    )

    def among(self, registry: JobRegistry, queues: tuple[str, ...] | None) -> JobFilter:
        """Return the filter for jobs of these queues; None: all. Raises `RefusedError` for a wrong condition."""
        try:
            wanted = JobFilter(
                status=self.status,
                parked=self.parked,
                queues=queues,
                older_than=self.older_than,
                newer_than=self.newer_than,
            ).with_texts({name: getattr(self, name) for name in TEXT_FILTERS})
            return with_conditions(wanted, self.where, registry, may_reveal=False)
        except InvalidOptionError as error:
            raise RefusedError(422, REQUEST_DOES_NOT_FIT, [Problem("/where", str(error))]) from None


class ListParameters(FilterFields):
    """Which jobs to list, newest first."""

    before: Place | None = Field(None, description="Only jobs older than the job with this id: the `next` of a page.")
    limit: Annotated[int, BeforeValidator(_clamped)] = Field(
        50, description=f"Size of the page, limited to 1 to {LONGEST_PAGE}."
    )


@Description(
    "GET",
    "/jobs",
    name="list_jobs",
    summary="List jobs, newest first.",
    scope=Scope.READ,
    reach=for_some_queue,
    query=ListParameters,
    answers={200: Answer(_PAGE)},
)
async def list_jobs(request: Request) -> Response:
    """Return a page of jobs. `next` is the `before` of the next page, or null.

    One request scans a part of the jobs. With filters, a page may have fewer jobs, or none, and a `next`.
    """
    wanted = query_of(request, ListParameters)
    among = filter_of(request, wanted, Scope.READ)
    async with steps_of(request, among) as steps:
        return JSONResponse(await page_of(backend_of(request).store, wanted, among, steps))


async def page_of(store: Store, wanted: ListParameters, among: JobFilter, steps: Steps) -> dict[str, object]:
    """Return the answer of `list_jobs`. Raises `RefusedError` for a wrong place."""
    limit = int(wanted.limit)
    await check_next(store, wanted.before, "before")
    if among.where:
        page, following = await search_page(store, among, wanted.before or "", limit, store.list_summaries, steps)
    else:
        found = await store.find_page(JobQuery.of(among, before=wanted.before, limit=limit))
        page, following = found.jobs, found.next
    return {"jobs": [job_summary(one) for one in page], "next": following}


async def search_page(
    store: Store,
    among: JobFilter,
    before: str,
    limit: int,
    read: Callable[[JobQuery], Awaitable[Sequence[Listed]]],
    steps: Steps,
) -> tuple[Sequence[Listed], str | None]:
    """Return a page of jobs that match conditions, newest first, and the place of the next page, or None.

    `read` is a method of the store that returns jobs by id.
    """
    page: list[Listed] = []
    after: str | None = before
    while after is not None and len(page) < limit and steps.may_go_on():
        found = await store.find(FindStep(filter=among, after=after, newest_first=True))
        ids = [job.id for job in found.jobs if job.is_readable]
        some = tuple(ids[: limit - len(page)])
        if some:
            page += await read(JobQuery(ids=some, before=after or None, limit=len(some)))
        after = some[-1] if len(some) < len(ids) else found.after
    return page, after


@Description(
    "GET",
    "/jobs/{id}",
    name="show_job",
    summary="Return one job.",
    scope=Scope.READ,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={200: Answer(ref("Job"))},
)
async def show(request: Request) -> Response:
    """Return one job, with redacted values hidden."""
    backend, job_id = backend_of(request), request.path_params["id"]
    record = await backend.store.get(job_id)
    if record is None:
        raise JobNotFoundError(job_id)
    return JSONResponse(shown_job(record, backend.registry))


@Description(
    "POST",
    "/jobs/{id}/cancel",
    name="cancel_job",
    summary="Cancel a pending job, or ask a running job to stop.",
    scope=Scope.ADMIN,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={
        200: Answer(_CANCELLED, "The job is cancelled."),
        202: Answer(_CANCELLED, "The running job is asked to stop."),
    },
    refusals=(409,),
)
async def cancel(request: Request) -> Response:
    """Cancel a pending job (200) or ask a running job to stop (202). 409 for a finished job."""
    outcome = await backend_of(request).store.cancel(request.path_params["id"], by=actor_of(request))
    if outcome is Cancellation.FINISHED:
        raise RefusedError(409, "the job is finished")
    return JSONResponse({"outcome": outcome}, 200 if outcome is Cancellation.CANCELLED else 202)


@Description(
    "POST",
    "/jobs/{id}/retry",
    name="retry_job",
    summary="Make a failed or cancelled job pending again.",
    scope=Scope.ADMIN,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={200: Answer(ref("JobSummary"))},
    refusals=(409,),
)
async def retry(request: Request) -> Response:
    """Make a failed or cancelled job pending again, with all its attempts."""
    store = backend_of(request).store
    await store.retry(request.path_params["id"], by=actor_of(request))
    wake(request)
    return JSONResponse(job_summary(await summary_for(request)))


@Description(
    "DELETE",
    "/jobs/{id}",
    name="delete_job",
    summary="Delete a pending or finished job.",
    scope=Scope.ADMIN,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={200: Answer(_DELETED)},
    refusals=(409,),
)
async def delete(request: Request) -> Response:
    """Delete a pending or finished job (200). 409 for a running job."""
    job_id: str = request.path_params["id"]
    (outcome,) = await backend_of(request).store.delete([job_id], by=actor_of(request))
    match outcome:
        case Deletion.DELETED:
            return JSONResponse({"outcome": outcome})
        case Deletion.RUNNING:
            raise RefusedError(409, "the job is running; cancel it, and delete it once it has stopped")
        case Deletion.NOT_FOUND:
            raise JobNotFoundError(job_id)


def filter_of(request: Request, wanted: FilterFields, scope: Scope) -> JobFilter:
    """Return the filter, limited to the queues for which the caller has the scope.

    Conditions on documents need the scope `read` too. Raises `RefusedError` for another requested queue, and for a
    condition that is wrong or that the caller may not use.
    """
    queues = _queues(request, scope, wanted.queue)
    if wanted.where and scope is not Scope.READ:
        readable = _queues(request, Scope.READ, wanted.queue)
        queues = readable if queues is None else tuple(one for one in queues if readable is None or one in readable)
    return wanted.among(backend_of(request).registry, queues)


def _queues(request: Request, scope: Scope, queue: str | None) -> tuple[str, ...] | None:
    """Return the queues for which the caller has the scope; None: all. Raises `RefusedError` for another `queue`."""
    if queue is not None:
        check_queue(request, scope, queue)
        return (queue,)
    check_scope(request, scope)
    queues = caller_of(request).rights[scope]
    return None if queues is None else tuple(sorted(queues))


async def check_next(store: JobReader, place: str | None, name: str) -> None:
    """Refuse a text that is no id, because a page after it would be a wrong answer.

    Accept every well-formed id, which may belong to a deleted job, and ids stored by other programs.
    """
    if place is not None and _ID.fullmatch(place) is None and await store.summary(place) is None:
        raise RefusedError(422, REQUEST_DOES_NOT_FIT, [Problem(f"/{name}", "Input should be the `next` of a page")])
