"""The OpenAPI 3.1 document of the routes and jobs, for a registry or for specs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from ..contract.json_schema import JobSchemas, definitions_of, refer_by
from ..contract.json_schema import Schema as JsonSchema
from ..domain.record import Cancellation, Deletion, JobStatus
from ..registry import JobRegistry
from ..security.tokens import Scope
from .gate import backend_of
from .jobs import EnqueueBody, ListParameters
from .problem import PROBLEM_TYPE

Schema = dict[str, Any]
"""A part of a JSON document of OpenAPI or JSON Schema."""

_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MOMENT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_STATUS: Schema = {"enum": [str(one) for one in JobStatus]}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_INTEGER: Schema = {"type": "integer"}
_TOKEN: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token has scopes: read, enqueue, admin. Each may be limited to queues; /status, /metrics and "
    "/trigger need theirs for every queue.",
}
_WRITING = (400, 403, 411, 413, 421)
"""Responses to refused writes: by origin, host, or length of the body."""

_SUMMARY: dict[str, Schema] = {
    "id": _TEXT,
    "job_name": _TEXT,
    "status": _STATUS,
    "parked": {"type": "boolean", "description": "Whether it failed because its params cannot be read."},
    "queue": _TEXT,
    "priority": _INTEGER,
    "progress": {"type": "integer", "minimum": 0, "maximum": 100},
    "attempt_count": _INTEGER,
    "max_attempts": _INTEGER,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
    "scheduled_for": _MOMENT_OR_NULL,
    "completed_at": _MOMENT_OR_NULL,
}
_DETAILS: dict[str, Schema] = {
    "spec_version": _INTEGER,
    "progress_message": _TEXT_OR_NULL,
    "params": {"description": "What the job was given, what its spec redacts hidden."},
    "params_hidden": {**_TEXT_OR_NULL, "description": "Why params are not shown; null when they are."},
    "result": {"description": "What the handler returned; null while there is none."},
    "error": _TEXT_OR_NULL,
    "worker_started_at": _MOMENT_OR_NULL,
    "worker_expires_at": _MOMENT_OR_NULL,
    "correlation_id": _TEXT_OR_NULL,
    "unique_key": _TEXT_OR_NULL,
    "cancel_requested": {"type": "boolean"},
}


async def openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(document(backend_of(request).registry, server=request.scope.get("root_path") or "/"))


def document(registry: JobRegistry, *, server: str) -> Schema:
    """Return the document for the active jobs of a registry. `server` is the URL of the routes."""
    jobs = (registration.job for registration in registry.registrations())
    return document_of({job.job_name: job.schemas() for job in jobs if not job.options.retired}, server=server)


def document_of(jobs: Mapping[str, JobSchemas], *, server: str) -> Schema:
    """Return the document for these jobs by name, in this order."""
    schemas: Schema = {
        "Problem": _object(
            {
                "title": _TEXT,
                "status": _INTEGER,
                "errors": {"type": "array", "items": _object({"pointer": _TEXT, "detail": _TEXT})},
                "more_errors": {**_INTEGER, "description": "How many problems are left out of `errors`."},
            },
            optional=("errors", "more_errors"),
        ),
        "JobSummary": _object(_SUMMARY),
        "Job": _object({**_SUMMARY, **_DETAILS}),
        "Enqueued": _object({"id": _TEXT, "job_name": _TEXT, "created": {"type": "boolean"}}),
    }
    paths: Schema = dict(_fixed_paths())
    for name, job in jobs.items():
        schemas |= _components(job.params, f"{name}Params")
        paths[f"/jobs/{name}"] = {"post": _enqueue(name, job.description)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Jobs", "version": __version__},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": _TOKEN}},
    }


def _fixed_paths() -> Mapping[str, Schema]:
    job_id = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    page = _object({"jobs": {"type": "array", "items": _ref("JobSummary")}, "next": _TEXT_OR_NULL})
    outcome = _object({"outcome": {"enum": [str(one) for one in Cancellation]}})
    return {
        "/trigger": {
            "post": _operation(
                "trigger", "Run what is due.", {200: _json(_object(_counts()))}, _WRITING, scope=Scope.ADMIN
            )
        },
        "/status": {
            "get": _operation("status", "Counts and the newest jobs.", {200: _json(_status())}, scope=Scope.READ)
        },
        "/health": {
            "get": _operation(
                "health",
                "Whether the database answers.",
                {code: _json(_object({"ok": {"type": "boolean"}})) for code in (200, 503)},
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics", "Figures for Prometheus.", {200: _content("text/plain", _TEXT)}, scope=Scope.READ
            )
        },
        "/openapi.json": {"get": _operation("openapi", "This document.", {200: _json({"type": "object"})})},
        "/jobs": {
            "get": {
                **_operation(
                    "list_jobs", "A page of jobs, newest first.", {200: _json(page)}, (422,), scope=Scope.READ
                ),
                "parameters": _query_parameters(ListParameters),
            }
        },
        "/jobs/{id}": {
            "get": {
                **_operation(
                    "show_job", "Everything about one job.", {200: _json(_ref("Job"))}, (404,), scope=Scope.READ
                ),
                "parameters": [job_id],
            },
            "delete": {
                **_operation(
                    "delete_job",
                    "Delete a job that does not run.",
                    {200: _json(_object({"outcome": {"const": str(Deletion.DELETED)}}))},
                    (*_WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            },
        },
        "/jobs/{id}/cancel": {
            "post": {
                **_operation(
                    "cancel_job",
                    "Cancel a pending job (200), ask a running one to stop (202).",
                    {200: _json(outcome), 202: _json(outcome)},
                    (*_WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/retry": {
            "post": {
                **_operation(
                    "retry_job",
                    "Put a failed or cancelled job back.",
                    {200: _json(_ref("JobSummary"))},
                    (*_WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/events": {
            "get": {
                **_operation(
                    "watch_job",
                    "Its progress as events.",
                    {200: _content("text/event-stream", _TEXT)},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [job_id],
            }
        },
    }


def _counts() -> dict[str, Schema]:
    return {
        "status": {"const": "triggered"},
        **dict.fromkeys(("expired", "scheduled", "completed", "failed"), _INTEGER),
    }


def _status() -> Schema:
    count = _object({"job_name": _TEXT, "status": _STATUS, "count": _INTEGER})
    return _object(
        {
            "counts": {"type": "array", "items": count},
            "jobs": {"type": "array", "items": _ref("JobSummary")},
            "paused_queues": {"type": "array", "items": _TEXT},
        }
    )


def _enqueue(name: str, description: str) -> Schema:
    # Definitions of the params are included.
    body = {key: value for key, value in _enqueue_body().items() if key != "$defs"}
    body["properties"] = {**body["properties"], "params": _ref(f"{name}Params")}
    answers = {201: _json(_ref("Enqueued")), 200: _json(_ref("Enqueued"))}
    return {
        **_operation(f"enqueue_{name}", f"Queue a {name}.", answers, (*_WRITING, 408, 415, 422), scope=Scope.ENQUEUE),
        "description": description,
        "requestBody": {"required": True, **_json(body)},
    }


@cache
def _enqueue_body() -> Schema:
    return EnqueueBody.model_json_schema()


def _components(schema: JsonSchema, name: str) -> Schema:
    """Return a schema and its definitions, under names that start with its name."""
    parts: dict[str, JsonValue] = {name: {key: value for key, value in schema.items() if key != "$defs"}}
    parts |= {f"{name}.{part}": found for part, found in definitions_of(schema).items()}
    return {key: refer_by(part, lambda part: f"#/components/schemas/{name}.{part}") for key, part in parts.items()}


def _query_parameters(model: type[BaseModel]) -> list[Schema]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return [
        {"name": name, "in": "query", "required": False, "schema": _parameter_schema(name)}
        | {"description": found.get("description", "")}
        for name, found in schema["properties"].items()
    ]


def _parameter_schema(name: str) -> Schema:
    known = {"status": _STATUS, "limit": _INTEGER, "parked": {"type": "boolean"}, "before": {**_TEXT, "format": "uuid"}}
    return known.get(name, _TEXT)


def _operation(
    operation_id: str,
    summary: str,
    answers: Mapping[int, Schema],
    refusals: tuple[int, ...] = (),
    *,
    scope: Scope | None = None,
) -> Schema:
    codes = sorted({401, *((403,) if scope else ()), *refusals, 503})
    problems = {str(code): _content(PROBLEM_TYPE, _ref("Problem"), "It is not done.") for code in codes}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"token": [] if scope is None else [str(scope)]}],
        "responses": problems | {str(code): {"description": summary, **answer} for code, answer in answers.items()},
    }


def _object(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return _content("application/json", schema)


def _content(kind: str, schema: Schema, description: str | None = None) -> Schema:
    content: Schema = {"content": {kind: {"schema": schema}}}
    return content if description is None else {"description": description, **content}
