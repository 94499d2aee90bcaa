"""The routes of jobs: enqueue, list, show, cancel, retry, delete."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
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
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..contract.values import pointer_to
from ..domain.enqueue_options import EnqueueOptions
from ..domain.interfaces import JobReader
from ..domain.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_ATTEMPTS
from ..domain.record import Cancellation, Deletion, JobQuery, JobRecord, JobStatus, JobSummary
from ..domain.text_limits import LONGEST_CORRELATION_ID, LONGEST_UNIQUE_KEY
from ..engine.job_document import job_document, job_summary, parsed, shown_params
from ..errors import JobNotFoundError, Problem
from ..registry import JobRegistry
from ..security.tokens import Scope
from .access import check_queue
from .body import json_body
from .gate import backend_of, caller_of
from .options import HttpOptions
from .problem import RefusedError

M = TypeVar("M", bound=BaseModel)

LONGEST_PAGE = 200

Enqueued = Callable[[Request], None]
"""Called after a request stored a job."""


_TIME = "[0-9]{1,6}H([0-9]{1,6}M)?([0-9]{1,6}S)?|[0-9]{1,6}M([0-9]{1,6}S)?|[0-9]{1,6}S"
_DURATION = re.compile(f"P[0-9]{{1,5}}D|P[0-9]{{1,4}}W|P([0-9]{{1,5}}D)?T({_TIME})")

_WHOLE_NUMBER = re.compile("[+-]?[0-9]+")
_ENOUGH_DIGITS = 20
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_AS_IT_SHOULD_BE = "the request is not as it should be"

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every store keeps unchanged."""

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


Delay = Annotated[
    timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": f"^({_DURATION.pattern})$"})
]
Priority = Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY), BeforeValidator(_number)]
Attempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS), BeforeValidator(_number)]

_NOT_BOTH: dict[str, JsonValue] = {
    "not": {
        "properties": {"delay": {"type": "string"}, "scheduled_for": {"type": "string"}},
        "required": ["delay", "scheduled_for"],
    }
}


class EnqueueBody(BaseModel):
    """What is posted to enqueue a job. What is left out is as the spec of the job says."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_NOT_BOTH, defer_build=True)

    params: dict[str, JsonValue] = Field(description="What the spec of the job asks for.")
    delay: Delay | None = Field(None, description="Due that long from now: days, or days and a time, as in ISO 8601.")
    scheduled_for: AwareDatetime | None = Field(None, strict=True, description="When it is due, with a time zone.")
    priority: Priority | None = Field(None, description="Higher comes first.")
    max_attempts: Attempts | None = Field(None, description="How often it is tried at most.")
    unique_key: UniqueKey | None = Field(None, description="Stored unless an unfinished job of that name has it.")
    correlation_id: CorrelationId | None = Field(
        None, description="Carried to logs and to the jobs that the handler enqueues."
    )

    def options(self) -> EnqueueOptions:
        """The chosen options, for `new_job`."""
        return EnqueueOptions(
            delay=self.delay,
            scheduled_for=self.scheduled_for,
            priority=self.priority,
            max_attempts=self.max_attempts,
            unique_key=self.unique_key,
            correlation_id=self.correlation_id,
        )


def _clamped(value: object) -> object:
    """Limit the size of a page to the allowed range."""
    text = str(value)
    if _WHOLE_NUMBER.fullmatch(text) is None:
        raise PydanticCustomError("int_parsing", "Input should be a whole number")
    return min(max(int(text[:_ENOUGH_DIGITS]), 1), LONGEST_PAGE)


class ListParameters(BaseModel):
    """Which jobs to list, newest first."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    status: JobStatus | None = Field(None, description="Only jobs in this status.")
    parked: bool = Field(False, description="Only jobs that failed because their params cannot be read.")
    job_name: Text | None = Field(None, description="Only jobs of this name.")
    queue: Text | None = Field(None, description="Only jobs of this queue.")
    correlation_id: Text | None = Field(None, description="Only jobs with this correlation id.")
    before: Text | None = Field(None, description="Only jobs older than the one with this id: the `next` of a page.")
    limit: Annotated[int, BeforeValidator(_clamped)] = Field(
        50, description=f"How many at most; brought to 1 to {LONGEST_PAGE}."
    )


async def enqueue(request: Request) -> Response:
    """Validate params and store a job: 201, or 200 for an unfinished job with the same unique key."""
    backend = backend_of(request)
    job = backend.registry.find(request.path_params["id"]).job
    check_queue(request, Scope.ENQUEUE, job.options.queue)
    options: HttpOptions = request.app.state.options
    body = _read(EnqueueBody, await json_body(request, within=options.body_timeout))
    (inserted,) = await backend.insert([job.new_job(body.params, **body.options())])
    on_enqueued: Enqueued = request.app.state.enqueued
    on_enqueued(request)
    return JSONResponse(
        {"id": inserted.id, "job_name": job.job_name, "created": inserted.created},
        201 if inserted.created else 200,
        {"location": f"{request.scope.get('root_path', '')}/jobs/{inserted.id}"},
    )


async def list_jobs(request: Request) -> Response:
    """Return a page of jobs. `next` is the `before` of the next page, or null."""
    wanted = _checked(ListParameters, _parameters(request))
    limit, store = int(wanted.limit), backend_of(request).store
    await _check_place(store, wanted.before)
    found = await store.list_summaries(
        JobQuery(
            status=wanted.status,
            job_name=wanted.job_name,
            queue=wanted.queue,
            queues=_readable_queues(request, wanted.queue),
            correlation_id=wanted.correlation_id,
            before=wanted.before,
            limit=limit + 1,
            parked=wanted.parked,
        )
    )
    page = found[:limit]
    return JSONResponse(
        {"jobs": [job_summary(one) for one in page], "next": page[-1].id if len(found) > limit else None}
    )


async def show(request: Request) -> Response:
    """Return one job, with redacted values hidden."""
    backend, job_id = backend_of(request), request.path_params["id"]
    record = await backend.store.get(job_id)
    if record is None:
        raise JobNotFoundError(job_id)
    return JSONResponse(_document(record, backend.registry))


async def cancel(request: Request) -> Response:
    """Cancel a pending job (200) or ask a running job to stop (202). 409 for a finished job."""
    outcome = await backend_of(request).store.cancel(request.path_params["id"], by=_actor(request))
    if outcome is Cancellation.FINISHED:
        raise RefusedError(409, "the job is finished")
    return JSONResponse({"outcome": outcome}, 200 if outcome is Cancellation.CANCELLED else 202)


async def retry(request: Request) -> Response:
    """Make a failed or cancelled job pending again, with all its attempts."""
    await backend_of(request).store.retry(request.path_params["id"], by=_actor(request))
    on_enqueued: Enqueued = request.app.state.enqueued
    on_enqueued(request)
    return JSONResponse(job_summary(await summary_for(request)))


async def delete(request: Request) -> Response:
    """Delete a pending or finished job (200). 409 for a running job."""
    job_id: str = request.path_params["id"]
    (outcome,) = await backend_of(request).store.delete([job_id], by=_actor(request))
    match outcome:
        case Deletion.DELETED:
            return JSONResponse({"outcome": outcome})
        case Deletion.RUNNING:
            raise RefusedError(409, "the job is running; cancel it, and delete it once it has stopped")
        case Deletion.NOT_FOUND:
            raise JobNotFoundError(job_id)


def _actor(request: Request) -> str:
    return f"token:{caller_of(request).name}"


async def summary_for(request: Request) -> JobSummary:
    """Return the summary of the job in the path. Raises `JobNotFoundError`."""
    job_id: str = request.path_params["id"]
    summary = await backend_of(request).store.summary(job_id)
    if summary is None:
        raise JobNotFoundError(job_id)
    return summary


def _document(record: JobRecord, registry: JobRegistry) -> dict[str, object]:
    params = shown_params(record, registry)
    return {**job_document(record), "params": parsed(params.text), "params_hidden": params.reason}


def _readable_queues(request: Request, queue: str | None) -> tuple[str, ...] | None:
    """Return the queues that the caller may list; None: all. Raises `RefusedError` for another requested queue."""
    if queue is not None:
        check_queue(request, Scope.READ, queue)
        return None
    queues = caller_of(request).rights[Scope.READ]
    return None if queues is None else tuple(sorted(queues))


async def _check_place(store: JobReader, before: str | None) -> None:
    """Refuse a text that is no id, because a page after it would be a wrong answer.

    Accept every well-formed id, which may belong to a deleted job, and ids stored by other programs.
    """
    if before is not None and _ID.fullmatch(before) is None and await store.summary(before) is None:
        raise RefusedError(422, _NOT_AS_IT_SHOULD_BE, [Problem("/before", "Input should be the `next` of a page")])


def _read(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from None


def _parameters(request: Request) -> dict[str, str]:
    given = request.query_params.multi_items()
    counts = Counter(name for name, _ in given)
    if repeated := next((name for name, count in counts.items() if count > 1), None):
        raise RefusedError(422, f"the parameter {repeated!r} is given more than once")
    return dict(given)


def _checked(model: type[M], values: dict[str, str]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> RefusedError:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    if any(detail["type"] == "json_invalid" for detail in details):
        return RefusedError(400, f"the body is not JSON: {details[0]['msg']}")
    return RefusedError(422, _NOT_AS_IT_SHOULD_BE, (Problem(pointer_to(one["loc"]), one["msg"]) for one in details))
