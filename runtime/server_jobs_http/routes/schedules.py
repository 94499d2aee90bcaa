"""The routes of schedules: list, add, change, pause, resume, run and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema
from server_jobs.domain.options import HIGHEST_MISFIRE_LIMIT, Misfire
from server_jobs.domain.record import ScheduleRecord
from server_jobs.handle import ScheduleHandle
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import check_queue, for_some_queue
from ..body import json_body
from ..described_route import Answer, Description
from ..gate import actor_of, backend_of, caller_of
from ..http_options import HttpOptions
from ..reading import Text, read_body
from ..request_trace import request_trace
from ..schema_parts import array_of, object_of, ref
from .enqueuing import ENQUEUED, tell_host

Policy = Annotated[Misfire, WithJsonSchema({"enum": [str(one) for one in Misfire]})]
Params = Annotated[dict[str, JsonValue], WithJsonSchema({"type": "object"})]
Limit = Annotated[int, Field(strict=True, ge=1, le=HIGHEST_MISFIRE_LIMIT)]

_PLACE = "/schedules/{job}/{name}"
_PLACE_PARAMETERS = {"job": "The name of the job.", "name": "The name of the schedule."}

_Schedule = ScheduleHandle[BaseModel | None, Mapping[str, JsonValue]]


class ScheduleBody(BaseModel):
    """The body that adds a schedule."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    cron: Text = Field(description="Five fields: minute, hour, day of month, month, day of week.")
    timezone: Text = Field("UTC", description="The IANA time zone in which the expression is read.")
    misfire: Policy = Field(Misfire.FIRE_ONCE, description="What happens to slots that passed while no worker ran.")
    misfire_limit: Limit | None = Field(None, description="With fire_all, how many passed slots fire at most.")
    params: Params = Field({}, description="The params of each job, which must fit the spec of the job.")


class ScheduleChangeBody(BaseModel):
    """The body that changes an added schedule. Missing values stay as they are."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    cron: Text | None = Field(None, description="Five fields: minute, hour, day of month, month, day of week.")
    timezone: Text | None = Field(None, description="The IANA time zone in which the expression is read.")
    misfire: Policy | None = Field(None, description="What happens to slots that passed while no worker ran.")
    misfire_limit: Limit | None = Field(None, description="With fire_all, how many passed slots fire. Needs `misfire`.")
    params: Params | None = Field(None, description="The params of each job.")


@Description(
    "GET",
    "/schedules",
    name="list_schedules",
    summary="Return the stored schedules, without params.",
    scope=Scope.READ,
    reach=for_some_queue,
    answers={200: Answer(object_of({"schedules": array_of(ref("Schedule"))}))},
)
async def list_schedules(request: Request) -> Response:
    """Return the schedules of jobs whose queue the caller may read, without params."""
    backend, caller = backend_of(request), caller_of(request)
    found: list[dict[str, object]] = []
    for record in await backend.store.list_schedules():
        job = backend.registry.get(record.job_name)
        if caller.may(Scope.READ) or (job is not None and caller.may(Scope.READ, job.options.queue)):
            found.append(schedule_document(record))
    return JSONResponse({"schedules": found})


@Description(
    "POST",
    _PLACE,
    name="add_schedule",
    summary="Add a schedule to a job.",
    scope=Scope.ADMIN,
    reach=for_some_queue,
    path_parameters=_PLACE_PARAMETERS,
    body=ScheduleBody,
    answers={201: Answer(ref("Schedule"))},
    refusals=(409,),
)
async def add(request: Request) -> Response:
    """Add a schedule (201). 409 if the job has a schedule with this name."""
    schedule, options = _schedule(request), _options(request)
    body = read_body(ScheduleBody, await json_body(request, within=options.body_timeout))
    await schedule.add(
        cron=body.cron,
        timezone=body.timezone,
        misfire=body.misfire,
        misfire_limit=body.misfire_limit,
        params=body.params,
    )
    return JSONResponse(schedule_document(await schedule.record()), 201)


@Description(
    "POST",
    f"{_PLACE}/change",
    name="change_schedule",
    summary="Change an added schedule. Missing values stay.",
    scope=Scope.ADMIN,
    reach=for_some_queue,
    path_parameters=_PLACE_PARAMETERS,
    body=ScheduleChangeBody,
    answers={200: Answer(ref("Schedule"))},
    refusals=(409,),
)
async def change(request: Request) -> Response:
    """Change an added schedule. 409 for a declared one."""
    schedule, options = _schedule(request), _options(request)
    body = read_body(ScheduleChangeBody, await json_body(request, within=options.body_timeout))
    await schedule.change(
        cron=body.cron,
        timezone=body.timezone,
        misfire=body.misfire,
        misfire_limit=body.misfire_limit,
        params=body.params,
    )
    return JSONResponse(schedule_document(await schedule.record()))


@Description(
    "POST",
    f"{_PLACE}/pause",
    name="pause_schedule",
    summary="Stop firing a schedule.",
    scope=Scope.ADMIN,
    reach=for_some_queue,
    path_parameters=_PLACE_PARAMETERS,
    answers={200: Answer(ref("Schedule"))},
    refusals=(409, 422),
)
async def pause(request: Request) -> Response:
    """Stop firing a schedule."""
    schedule = _schedule(request)
    await schedule.pause()
    return JSONResponse(schedule_document(await schedule.record()))


@Description(
    "POST",
    f"{_PLACE}/resume",
    name="resume_schedule",
    summary="Fire a schedule again, from its next slot on.",
    scope=Scope.ADMIN,
    reach=for_some_queue,
    path_parameters=_PLACE_PARAMETERS,
    answers={200: Answer(ref("Schedule"))},
    refusals=(409, 422),
)
async def resume(request: Request) -> Response:
    """Fire a schedule again, from its next slot on."""
    schedule = _schedule(request)
    await schedule.resume()
    return JSONResponse(schedule_document(await schedule.record()))


@Description(
    "POST",
    f"{_PLACE}/run",
    name="run_schedule",
    summary="Enqueue one job of a schedule now.",
    scope=Scope.ADMIN,
    reach=for_some_queue,
    path_parameters=_PLACE_PARAMETERS,
    answers=ENQUEUED,
    refusals=(409, 422),
)
async def run(request: Request) -> Response:
    """Enqueue one job of a schedule now: 201, or 200 for an unfinished job with the same unique key."""
    schedule, backend = _schedule(request), backend_of(request)
    record, versions = await schedule.record(), backend.registry.versions_of(schedule.job)
    new = schedule.job.scheduled_job(record, versions, correlation_id=record.correlation_id)
    (inserted,) = await backend.insert([new], request_trace(request))
    tell_host(request)
    document = {"id": inserted.id, "job_name": record.job_name, "created": inserted.created}
    return JSONResponse(document, 201 if inserted.created else 200)


@Description(
    "DELETE",
    _PLACE,
    name="remove_schedule",
    summary="Remove an added schedule. Its jobs stay.",
    scope=Scope.ADMIN,
    reach=for_some_queue,
    path_parameters=_PLACE_PARAMETERS,
    answers={200: Answer(object_of({"outcome": {"const": "removed"}}))},
    refusals=(409, 422),
)
async def remove(request: Request) -> Response:
    """Remove an added schedule. 409 for a declared one."""
    await _schedule(request).remove()
    return JSONResponse({"outcome": "removed"})


def schedule_document(record: ScheduleRecord) -> dict[str, object]:
    """Return a schedule without its params. Times are in UTC."""
    return {
        "job_name": record.job_name,
        "name": record.name,
        "source": record.source,
        "enabled": record.enabled,
        "cron": record.cron_expression,
        "timezone": record.timezone,
        "misfire": record.misfire,
        "misfire_limit": record.misfire_limit,
        "last_run_at": _text(record.last_run_at),
        "next_run_at": _text(record.next_run_at),
        "last_job_id": record.last_job_id,
    }


def _schedule(request: Request) -> _Schedule:
    """Return the schedule in the path. Raises `RefusedError` if the caller may not change jobs of its queue."""
    backend = backend_of(request)
    job = backend.registry.find(request.path_params["job"]).job
    check_queue(request, Scope.ADMIN, job.options.queue)
    return ScheduleHandle(job, request.path_params["name"], backend, by=actor_of(request))


def _options(request: Request) -> HttpOptions:
    options: HttpOptions = request.app.state.options
    return options


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
