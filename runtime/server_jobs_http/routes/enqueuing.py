"""The route that enqueues a job, and the options of jobs in bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema
from pydantic.fields import FieldInfo
from server_jobs.domain.audit import enqueuing_as
from server_jobs.domain.enqueue_options import ENQUEUE_OPTIONS, TEXT_OPTIONS, EnqueueOptions
from server_jobs.domain.options import OnConflict
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import check_enqueues, for_some_queue
from ..body import json_body
from ..described_route import Answer, Description
from ..gate import actor_of, backend_of, caller_of
from ..http_options import HttpOptions
from ..reading import Attempts, Delay, Period, Priority, read_body, text_field, with_texts
from ..request_trace import request_trace
from ..schema_parts import ref

Enqueued = Callable[[Request], None]
"""Called after a request stored a job."""

Conflict = Annotated[OnConflict, WithJsonSchema({"enum": [str(one) for one in OnConflict]})]

_NOT_BOTH: dict[str, JsonValue] = {
    "not": {
        "properties": {"delay": {"type": "string"}, "scheduled_for": {"type": "string"}},
        "required": ["delay", "scheduled_for"],
    }
}


def _text_options(*, is_for_completion: bool) -> dict[str, FieldInfo]:
    return {
        name: text_field(ENQUEUE_OPTIONS[name].about, longest)
        for name, longest in TEXT_OPTIONS.items()
        if ENQUEUE_OPTIONS[name].is_for_completion or not is_for_completion
    }


def about_option(name: str) -> str:
    """Return the words for an option."""
    return ENQUEUE_OPTIONS[name].about


class CommonOptions(BaseModel):
    """The options of any job. Missing ones have the values of the job's spec."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    priority: Priority | None = Field(None, description=about_option("priority"))
    max_attempts: Attempts | None = Field(None, description=about_option("max_attempts"))

    def options(self) -> EnqueueOptions:
        """The chosen options, for `new_job`."""
        fields = type(self).model_fields
        return cast("EnqueueOptions", {name: getattr(self, name) for name in ENQUEUE_OPTIONS if name in fields})


@with_texts(_text_options(is_for_completion=True))
class CompletionOptions(CommonOptions):
    """The options of a completion job."""


@with_texts(_text_options(is_for_completion=False))
class OptionFields(CommonOptions):
    """The options of jobs. Missing ones have the values of the job's spec."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_NOT_BOTH, defer_build=True)

    delay: Delay | None = Field(None, description=f"{about_option('delay')} An ISO 8601 duration of days and a time.")
    scheduled_for: AwareDatetime | None = Field(
        None, strict=True, description=f"{about_option('scheduled_for')} It has a time zone."
    )
    expires_after: Period | None = Field(None, description=about_option("expires_after"))
    on_conflict: Conflict | None = Field(None, description=about_option("on_conflict"))


class EnqueueBody(OptionFields):
    """The body that enqueues a job."""

    params: dict[str, JsonValue] = Field(description="The params, which must fit the spec of the job.")


ENQUEUED = {
    201: Answer(ref("Enqueued"), "The job is stored."),
    200: Answer(ref("Enqueued"), "An unfinished job has the unique key. Nothing is stored."),
}


@Description(
    "POST",
    "/jobs/{id}",
    name="enqueue_{name}",
    summary="Enqueue {name}.",
    scope=Scope.ENQUEUE,
    reach=for_some_queue,
    body=EnqueueBody,
    answers=ENQUEUED,
    per_job=True,
)
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


def wake(request: Request) -> None:
    """Wake the workers of this process, and tell the host that a job is pending."""
    for notify in backend_of(request).inserted:
        notify()
    tell_host(request)


def tell_host(request: Request) -> None:
    """Tell the host of the application that a job is pending."""
    on_enqueued: Enqueued = request.app.state.enqueued
    on_enqueued(request)
