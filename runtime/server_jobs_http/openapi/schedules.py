"""The operations of schedules."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from server_jobs.domain.options import Misfire, ScheduleSource
from server_jobs.security.tokens import Scope

from ..routes.schedules import ScheduleBody, ScheduleChangeBody
from .parts import (
    MOMENT_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    WRITING,
    Schema,
    array_of,
    json_content,
    object_of,
    operation,
    ref,
)

SCHEDULE: dict[str, Schema] = {
    "job_name": {**TEXT, "description": "The job that the schedule enqueues."},
    "name": {**TEXT, "description": "The name of the schedule, unique within its job."},
    "source": {"enum": [str(one) for one in ScheduleSource], "description": "Declared in code, or added at run time."},
    "enabled": {"type": "boolean", "description": "False: the schedule is paused."},
    "cron": {**TEXT, "description": "Five fields: minute, hour, day of month, month, day of week."},
    "timezone": {**TEXT, "description": "The IANA time zone in which the expression is read."},
    "misfire": {
        "enum": [str(one) for one in Misfire],
        "description": "What happens to slots that passed while no worker ran.",
    },
    "misfire_limit": {
        "type": ["integer", "null"],
        "description": "With fire_all, how many passed slots fire. Null: all of them.",
    },
    "last_run_at": {**MOMENT_OR_NULL, "description": "The last slot that fired."},
    "next_run_at": {**MOMENT_OR_NULL, "description": "The next slot. Null until a worker has computed it."},
    "last_job_id": {**TEXT_OR_NULL, "description": "The id of the job of the last slot."},
}


def schedule_paths() -> Mapping[str, Schema]:
    place = "/schedules/{job}/{name}"
    stored = {200: json_content(ref("Schedule"))}
    enqueued = {
        201: json_content(ref("Enqueued"), "The job is stored."),
        200: json_content(ref("Enqueued"), "An unfinished job has the unique key. Nothing is stored."),
    }
    removed = {200: json_content(object_of({"outcome": {"const": "removed"}}))}
    change = "Change an added schedule. Missing values stay."
    return {
        "/schedules": {
            "get": operation(
                "list_schedules",
                "Return the stored schedules, without params.",
                {200: json_content(object_of({"schedules": array_of(ref("Schedule"))}))},
                scope=Scope.READ,
            )
        },
        place: {
            "post": _on_schedule("add", "Add a schedule to a job.", {201: json_content(ref("Schedule"))}, ScheduleBody),
            "delete": _on_schedule("remove", "Remove an added schedule. Its jobs stay.", removed),
        },
        f"{place}/change": {"post": _on_schedule("change", change, stored, ScheduleChangeBody)},
        f"{place}/pause": {"post": _on_schedule("pause", "Stop firing a schedule.", stored)},
        f"{place}/resume": {"post": _on_schedule("resume", "Fire a schedule again, from its next slot on.", stored)},
        f"{place}/run": {"post": _on_schedule("run", "Enqueue one job of a schedule now.", enqueued)},
    }


def _on_schedule(
    action: str, summary: str, answers: Mapping[int, Schema], body: type[BaseModel] | None = None
) -> Schema:
    reads = () if body is None else (408, 415)
    names = {"job": "The name of the job.", "name": "The name of the schedule."}
    described = {
        **operation(f"{action}_schedule", summary, answers, (*WRITING, 404, 409, 422, *reads), scope=Scope.ADMIN),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": TEXT, "description": description}
            for name, description in names.items()
        ],
    }
    if body is None:
        return described
    schema = {key: value for key, value in body.model_json_schema().items() if key not in ("$defs", "title")}
    return {**described, "requestBody": {"required": True, **json_content(schema)}}
