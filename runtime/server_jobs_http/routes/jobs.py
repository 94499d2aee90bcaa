"""The routes of jobs: enqueue, list, show, cancel, retry, delete, and changes of all jobs that match a filter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from server_jobs.contract.values import pointer_to
from server_jobs.domain.audit import enqueuing_as
from server_jobs.domain.enqueue_options import EnqueueOptions
from server_jobs.domain.interfaces import JobReader, Store
from server_jobs.domain.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_ATTEMPTS, OnConflict
from server_jobs.domain.record import (
    EVERY_JOB,
    Cancellation,
    Deletion,
    JobFilter,
    JobQuery,
    JobStatus,
    JobSummary,
    Retrial,
)
from server_jobs.domain.search import FindStep
from server_jobs.domain.text_limits import LONGEST_CORRELATION_ID, LONGEST_UNIQUE_KEY
from server_jobs.engine.bulk import BulkAction, BulkResult, change_page, with_conditions
from server_jobs.errors import InvalidOptionError, JobNotFoundError, Problem
from server_jobs.inspection.job_document import job_summary, shown_job
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import check_enqueues, check_queue, check_scope
from ..body import json_body
from ..gate import backend_of, caller_of
from ..http_options import HttpOptions
from ..problem_document import RefusedError
from ..request_trace import request_trace
from ..searching import Steps, steps_of

M = TypeVar("M", bound=BaseModel)
Listed = TypeVar("Listed")

LONGEST_PAGE = 200
MOST_CONDITIONS = 10

Enqueued = Callable[[Request], None]
"""Called after a request stored a job."""


_SECONDS = "[0-9]{1,6}([.][0-9]{1,3})?S"  # stores keep milliseconds
_TIME = f"[0-9]{{1,6}}H([0-9]{{1,6}}M)?({_SECONDS})?|[0-9]{{1,6}}M({_SECONDS})?|{_SECONDS}"
_DURATION = re.compile(f"P[0-9]{{1,5}}D|P[0-9]{{1,4}}W|P([0-9]{{1,5}}D)?T({_TIME})")

_WHOLE_NUMBER = re.compile("[+-]?[0-9]+")
_ENOUGH_DIGITS = 20
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REQUEST_DOES_NOT_FIT = "the request does not fit its schema"

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every store keeps unchanged."""

Place = Annotated[Text, WithJsonSchema({"type": "string", "format": "uuid"})]
"""The `next` of a page or an answer."""

UniqueKey = Annotated[Text, Field(max_length=LONGEST_UNIQUE_KEY)]
CorrelationId = Annotated[Text, Field(max_length=LONGEST_CORRELATION_ID)]


def _number(value: object) -> object:
    """Accept integers of JSON, including `5.0`. Leave texts and booleans to the type check."""
    if isinstance(value, str | bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


def _duration(value: object) -> object:
    """Refuse years and months, which have no fixed length, and durations beyond every delay."""
    if not isinstance(value, str) or _DURATION.fullmatch(value) is None:
        raise PydanticCustomError("time_delta_parsing", "Input should be an ISO 8601 duration such as PT5M or P1DT12H")
    return value


def _period(value: object) -> object:
    """Like `_duration`, and refuse zero."""
    if not re.search("[1-9]", str(_duration(value))):
        raise PydanticCustomError("time_delta_parsing", "Input should be an ISO 8601 duration longer than zero")
    return value


Delay = Annotated[
    timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": f"^({_DURATION.pattern})$"})
]
Period = Annotated[
    timedelta,
    BeforeValidator(_period),
    WithJsonSchema({"type": "string", "pattern": f"^(?=.*[1-9])({_DURATION.pattern})$"}),
]
Conflict = Annotated[OnConflict, WithJsonSchema({"enum": [str(one) for one in OnConflict]})]
Priority = Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY), BeforeValidator(_number)]
Attempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS), BeforeValidator(_number)]

_NOT_BOTH: dict[str, JsonValue] = {
    "not": {
        "properties": {"delay": {"type": "string"}, "scheduled_for": {"type": "string"}},
        "required": ["delay", "scheduled_for"],
    }
}


class OptionFields(BaseModel):
    """The options of jobs. Missing ones have the values of the job's spec."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_NOT_BOTH, defer_build=True)

    delay: Delay | None = Field(None, description="Time until the job is due, an ISO 8601 duration of days and a time.")
    scheduled_for: AwareDatetime | None = Field(
        None, strict=True, description="Time at which the job is due, with a time zone."
    )
    expires_after: Period | None = Field(
        None, description="Time after the job is due in which an attempt may start. Later, the job is cancelled."
    )
    priority: Priority | None = Field(None, description="Higher priorities are claimed first.")
    max_attempts: Attempts | None = Field(None, description="Attempts in all.")
    unique_key: UniqueKey | None = Field(None, description="Key that at most one unfinished job of this name may have.")
    on_conflict: Conflict | None = Field(
        None,
        description="Whether an unfinished job with the same unique key stays, or this one takes its place.",
    )
    correlation_id: CorrelationId | None = Field(
        None, description="Id for log lines, which jobs that the handler enqueues inherit."
    )

    def options(self) -> EnqueueOptions:
        """The chosen options, for `new_job`."""
        return EnqueueOptions(
            delay=self.delay,
            scheduled_for=self.scheduled_for,
            expires_after=self.expires_after,
            priority=self.priority,
            max_attempts=self.max_attempts,
            unique_key=self.unique_key,
            on_conflict=self.on_conflict,
            correlation_id=self.correlation_id,
        )


class EnqueueBody(OptionFields):
    """The body that enqueues a job."""

    params: dict[str, JsonValue] = Field(description="The params, which must fit the spec of the job.")


def _clamped(value: object) -> object:
    """Limit the size of a page to the allowed range."""
    text = str(value)
    if _WHOLE_NUMBER.fullmatch(text) is None:
        raise PydanticCustomError("int_parsing", "Input should be a whole number")
    return min(max(int(text[:_ENOUGH_DIGITS]), 1), LONGEST_PAGE)


class FilterFields(BaseModel):
    """Which jobs: those that match every given field."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    status: JobStatus | None = Field(None, description="Only jobs in this status.")
    parked: bool = Field(False, description="Only jobs that failed because their params cannot be read.")
    job_name: Text | None = Field(None, description="Only jobs of this name.")
    queue: Text | None = Field(None, description="Only jobs of this queue.")
    error_class: Text | None = Field(None, description="Only jobs whose last failure was this exception.")
    correlation_id: Text | None = Field(None, description="Only jobs with this correlation id.")
    worker_id: Text | None = Field(None, description="Only jobs that this worker claimed last.")
    batch_id: Text | None = Field(None, description="Only jobs of this batch, without its completion job.")
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
                job_name=self.job_name,
                queues=queues,
                error_class=self.error_class,
                correlation_id=self.correlation_id,
                worker_id=self.worker_id,
                batch_id=self.batch_id,
                older_than=self.older_than,
                newer_than=self.newer_than,
            )
            return with_conditions(wanted, self.where, registry, may_reveal=False)
        except InvalidOptionError as error:
            raise RefusedError(422, _REQUEST_DOES_NOT_FIT, [Problem("/where", str(error))]) from None


class ListParameters(FilterFields):
    """Which jobs to list, newest first."""

    before: Place | None = Field(None, description="Only jobs older than the job with this id: the `next` of a page.")
    limit: Annotated[int, BeforeValidator(_clamped)] = Field(
        50, description=f"Size of the page, limited to 1 to {LONGEST_PAGE}."
    )


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


async def enqueue(request: Request) -> Response:
    """Validate params and store a job: 201, or 200 for an unfinished job with the same unique key."""
    backend = backend_of(request)
    job = backend.registry.find(request.path_params["id"]).job
    check_enqueues(caller_of(request), job.options)
    options: HttpOptions = request.app.state.options
    body = read_body(EnqueueBody, await json_body(request, within=options.body_timeout))
    with enqueuing_as(actor_of(request)):
        (inserted,) = await backend.insert([job.new_job(body.params, **body.options())], request_trace(request))
    tell_host(request)
    return JSONResponse(
        {"id": inserted.id, "job_name": job.job_name, "created": inserted.created},
        201 if inserted.created else 200,
        {"location": f"{request.scope.get('root_path', '')}/jobs/{inserted.id}"},
    )


async def list_jobs(request: Request) -> Response:
    """Return a page of jobs. `next` is the `before` of the next page, or null.

    One request scans a part of the jobs. With filters, a page may have fewer jobs, or none, and a `next`.
    """
    wanted = checked(ListParameters, _parameters(request))
    among = _filter(request, wanted, Scope.READ)
    async with steps_of(request, among) as steps:
        return JSONResponse(await page_of(backend_of(request).store, wanted, among, steps))


async def page_of(store: Store, wanted: ListParameters, among: JobFilter, steps: Steps) -> dict[str, object]:
    """Return the answer of `list_jobs`. Raises `RefusedError` for a wrong place."""
    limit = int(wanted.limit)
    await _check_place(store, wanted.before, "before")
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


async def change_many(action: BulkAction, request: Request) -> Response:
    """Change the jobs of a filter, as far as the budget of a request goes. `next` is where to continue, or null."""
    options: HttpOptions = request.app.state.options
    body = read_body(BulkBody, await json_body(request, within=options.body_timeout))
    among = _filter(request, body, Scope.ADMIN)
    async with steps_of(request, among) as steps:
        result = await change_part(backend_of(request).store, action, body, among, steps, by=actor_of(request))
    if result.results[Retrial.RETRIED]:
        _wake(request)
    return JSONResponse(bulk_document(result, dry_run=body.dry_run))


async def change_part(
    store: Store, action: BulkAction, body: BulkBody, among: JobFilter, steps: Steps, *, by: str
) -> BulkResult:
    """Change the jobs that one request looks at. Raises `RefusedError` for a wrong place."""
    await _check_place(store, body.after, "after")
    result = BulkResult(after=body.after or "")
    while result.after is not None and steps.may_go_on():
        step = FindStep(filter=action.among(among), after=result.after)
        await change_page(store, action, step, result, by=by, dry_run=body.dry_run)
    return result


def bulk_document(result: BulkResult, *, dry_run: bool) -> dict[str, object]:
    """Return the answer of `change_many`."""
    found = [{"job_name": name, "status": status, "count": count} for (name, status), count in result.found.items()]
    return {"found": found, "dry_run": dry_run, "results": dict(result.results), "next": result.after}


async def show(request: Request) -> Response:
    """Return one job, with redacted values hidden."""
    backend, job_id = backend_of(request), request.path_params["id"]
    record = await backend.store.get(job_id)
    if record is None:
        raise JobNotFoundError(job_id)
    return JSONResponse(shown_job(record, backend.registry))


async def cancel(request: Request) -> Response:
    """Cancel a pending job (200) or ask a running job to stop (202). 409 for a finished job."""
    outcome = await backend_of(request).store.cancel(request.path_params["id"], by=actor_of(request))
    if outcome is Cancellation.FINISHED:
        raise RefusedError(409, "the job is finished")
    return JSONResponse({"outcome": outcome}, 200 if outcome is Cancellation.CANCELLED else 202)


async def retry(request: Request) -> Response:
    """Make a failed or cancelled job pending again, with all its attempts."""
    store = backend_of(request).store
    await store.retry(request.path_params["id"], by=actor_of(request))
    _wake(request)
    return JSONResponse(job_summary(await summary_for(request)))


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


def _wake(request: Request) -> None:
    """Wake the workers of this process, and tell the host that a job is pending."""
    for notify in backend_of(request).inserted:
        notify()
    tell_host(request)


def tell_host(request: Request) -> None:
    """Tell the host of the application that a job is pending."""
    on_enqueued: Enqueued = request.app.state.enqueued
    on_enqueued(request)


def actor_of(request: Request) -> str:
    """Return the name of the caller for the audit log."""
    return f"token:{caller_of(request).name}"


async def summary_for(request: Request) -> JobSummary:
    """Return the summary of the job in the path. Raises `JobNotFoundError`."""
    job_id: str = request.path_params["id"]
    summary = await backend_of(request).store.summary(job_id)
    if summary is None:
        raise JobNotFoundError(job_id)
    return summary


def _filter(request: Request, wanted: FilterFields, scope: Scope) -> JobFilter:
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


async def _check_place(store: JobReader, place: str | None, name: str) -> None:
    """Refuse a text that is no id, because a page after it would be a wrong answer.

    Accept every well-formed id, which may belong to a deleted job, and ids stored by other programs.
    """
    if place is not None and _ID.fullmatch(place) is None and await store.summary(place) is None:
        raise RefusedError(422, _REQUEST_DOES_NOT_FIT, [Problem(f"/{name}", "Input should be the `next` of a page")])


def read_body(model: type[M], body: bytes) -> M:
    """Return the body of a request. Raises `RefusedError`, which names each problem by its JSON pointer."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from None


def _parameters(request: Request) -> dict[str, object]:
    given = request.query_params.multi_items()
    counts = Counter(name for name, _ in given if name != "where")
    if repeated := next((name for name, count in counts.items() if count > 1), None):
        raise RefusedError(422, f"the parameter {repeated!r} is given more than once")
    where = request.query_params.getlist("where")
    return {**dict(given), **({"where": where} if where else {})}


def checked(model: type[M], values: Mapping[str, object]) -> M:
    """Return the values as a model. Raises `RefusedError`, which names each problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> RefusedError:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    if any(detail["type"] == "json_invalid" for detail in details):
        return RefusedError(400, f"the body is not JSON: {details[0]['msg']}")
    return RefusedError(422, _REQUEST_DOES_NOT_FIT, (Problem(pointer_to(one["loc"]), one["msg"]) for one in details))
