"""The routes of batches."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue
from server_jobs.domain.audit import enqueuing_as
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.options import MOST_JOBS_PER_REQUEST
from server_jobs.domain.record import JobQuery, NewJob
from server_jobs.domain.statistics import BatchCounts
from server_jobs.errors import InvalidParamsError
from server_jobs.handle import completion_job
from server_jobs.inspection.job_document import batch_document
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import check_enqueues, for_some_queue
from ..body import json_body
from ..described_route import Answer, Description
from ..gate import actor_of, backend_of, caller_of
from ..http_options import HttpOptions
from ..problem_document import RefusedError, params_refusal
from ..reading import Text, read_body
from ..request_trace import request_trace
from ..schema_parts import INTEGER, TEXT, object_of, ref
from .enqueuing import CompletionOptions, OptionFields, tell_host

BATCH_ID = {"id": "The id of the batch."}
_COUNTS = object_of(
    {
        "id": {**TEXT, "description": "The id of the batch, and of its completion job."},
        **{one.name: INTEGER for one in fields(BatchCounts)},
        "total": {**INTEGER, "description": "The stored jobs of the batch, without its completion job."},
        "percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "The share of finished jobs."},
    }
)


class CompletionBody(CompletionOptions):
    """The job that runs after all jobs of the batch have ended."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    job_name: Text = Field(description="The name of a job without a unique key.")
    params: dict[str, JsonValue] = Field(description="Its params, which must fit its spec.")


class BatchBody(OptionFields):
    """The body that enqueues many jobs of one name in one transaction. The options apply to each job."""

    params: Annotated[list[dict[str, JsonValue]], Field(min_length=1, max_length=MOST_JOBS_PER_REQUEST)] = Field(
        description="The params of each job."
    )
    then: CompletionBody | None = Field(None, description="The completion job.")


@Description(
    "POST",
    "/batches/{id}",
    name="enqueue_{name}_batch",
    summary="Enqueue {name} many times in one transaction.",
    scope=Scope.ENQUEUE,
    reach=for_some_queue,
    body=BatchBody,
    answers={201: Answer(ref("EnqueuedBatch"), "The jobs are stored.")},
    refusals=(404,),
    per_job=True,
)
async def enqueue_batch(request: Request) -> Response:
    """Validate all params and store the jobs in one transaction: 201 with the id of the batch, or none of them."""
    backend = backend_of(request)
    job = backend.registry.find(request.path_params["id"]).job
    check_enqueues(caller_of(request), job.options)
    options: HttpOptions = request.app.state.options
    body = read_body(BatchBody, await json_body(request, within=options.body_timeout))
    batch_id = new_job_id()
    jobs = job.new_jobs(body.params, batch_id, **body.options())
    completion = [] if body.then is None else [_completion_job(request, body.then, batch_id)]
    with enqueuing_as(actor_of(request)):
        inserted = (await backend.insert([*jobs, *completion], request_trace(request)))[: len(jobs)]
    if completion and not any(one.created for one in inserted):
        await backend.end_batches([batch_id])
    tell_host(request)
    return JSONResponse(
        {
            "id": batch_id,
            "job_name": job.job_name,
            "jobs": [{"id": one.id, "created": one.created} for one in inserted],
        },
        201,
        {"location": f"{request.scope.get('root_path', '')}/batches/{batch_id}"},
    )


def _completion_job(request: Request, body: CompletionBody, batch_id: str) -> NewJob:
    job = backend_of(request).registry.find(body.job_name).job
    check_enqueues(caller_of(request), job.options)
    try:
        return completion_job(job.new_job(body.params, **body.options()), batch_id)
    except InvalidParamsError as error:
        raise params_refusal(error, "/then/params") from None


@Description(
    "GET",
    "/batches/{id}",
    name="show_batch",
    summary="Count the jobs of a batch by status.",
    scope=Scope.READ,
    reach=for_some_queue,
    path_parameters=BATCH_ID,
    answers={200: Answer(_COUNTS)},
)
async def show_batch(request: Request) -> Response:
    """Return the counts of a batch."""
    return JSONResponse(batch_document(request.path_params["id"], await counts_for(request)))


async def counts_for(request: Request) -> BatchCounts:
    """Return the counts of the batch in the path. All its jobs have one queue.

    Raises `RefusedError` (404) if there is none, and for callers without the scope for its queue.
    """
    store, batch_id = backend_of(request).store, request.path_params["id"]
    counts = await store.count_batch(batch_id)
    if counts is not None and not caller_of(request).may(Scope.READ):
        page = await store.find_page(JobQuery(batch_id=batch_id, limit=1))
        if not page.jobs or not caller_of(request).may(Scope.READ, page.jobs[0].queue):
            counts = None
    if counts is None:
        raise RefusedError(404, "there is no batch with that id")
    return counts
