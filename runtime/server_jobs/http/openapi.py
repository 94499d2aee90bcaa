"""The OpenAPI 3.1 document of the routes and jobs, for a registry or for specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import BaseModel, JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from ..contract.json_schema import JobSchemas, definitions_of, refer_by
from ..contract.json_schema import Schema as JsonSchema
from ..domain.record import Cancellation, Deletion, JobStatus, Outcome
from ..domain.statistics import BatchCounts
from ..engine.bulk import BulkAction
from ..inspection.why import Cause
from ..registry import JobRegistry
from ..security.tokens import Scope
from .gate import backend_of
from .jobs import MOST_CONDITIONS, BulkBody, EnqueueBody, ListParameters
from .problem_document import PROBLEM_TYPE

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
    "description": "A token has scopes: read, enqueue, admin. Each may be limited to queues; /status, /metrics, "
    "/workers and /trigger need theirs for every queue.",
}
_WRITING = (400, 403, 411, 413, 421)
"""Responses to refused writes: by origin, host, or length of the body."""

_REFUSALS = {
    400: "The request is malformed: its body is not JSON, or its headers contradict each other.",
    401: "The request has no valid token.",
    403: "The token lacks the scope, or a page of another site sent the request.",
    404: "There is no such job, or the token may not see it.",
    408: "The body did not arrive in time.",
    409: "The status of the job does not allow it.",
    411: "The body needs a Content-Length.",
    413: "The body is too long.",
    415: "The body is not sent as JSON, or it is compressed.",
    421: "This host name is not served here.",
    422: "The body or the parameters do not fit; `errors` names each problem by its JSON pointer.",
    503: "The database cannot be used now, or the server is stopping.",
}
"""The reason of each refusal."""

_SUMMARY: dict[str, Schema] = {
    "id": _TEXT,
    "job_name": _TEXT,
    "status": _STATUS,
    "parked": {"type": "boolean", "description": "Whether the job failed because its params cannot be read."},
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
    "params": {"description": "The params, with redacted values hidden."},
    "params_hidden": {**_TEXT_OR_NULL, "description": "The reason why params are hidden, or null."},
    "result": {"description": "The result, or null."},
    "error": _TEXT_OR_NULL,
    "error_class": {**_TEXT_OR_NULL, "description": "The name of the exception of the last failed attempt."},
    "start_before": {
        **_MOMENT_OR_NULL,
        "description": "The job is cancelled if it is pending after this time, or null.",
    },
    "worker_id": {**_TEXT_OR_NULL, "description": "The long-lived worker of the last claim."},
    "worker_started_at": _MOMENT_OR_NULL,
    "worker_expires_at": _MOMENT_OR_NULL,
    "correlation_id": _TEXT_OR_NULL,
    "batch_id": {**_TEXT_OR_NULL, "description": "The batch of the job. A completion job has it as its own id."},
    "unique_key": _TEXT_OR_NULL,
    "cancel_requested": {"type": "boolean"},
    "replaced_by": {**_TEXT_OR_NULL, "description": "The job that took over its unique key while it ran, or null."},
}
_BATCH: dict[str, Schema] = {
    "id": {**_TEXT, "description": "The id of the batch, and of its completion job."},
    **{one.name: _INTEGER for one in fields(BatchCounts)},
    "total": {**_INTEGER, "description": "The stored jobs of the batch, without its completion job."},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "The share of finished jobs."},
}
_ATTEMPT: dict[str, Schema] = {
    "attempt": {"type": "integer", "description": "The number of the attempt, from 1."},
    "outcome": {
        "enum": [str(one) for one in Outcome if one not in (Outcome.COMPLETED, Outcome.LOST)],
        "description": "How the attempt ended.",
    },
    "error": {**_TEXT_OR_NULL, "description": "The error, or the reason of a cancellation."},
    "error_class": {**_TEXT_OR_NULL, "description": "The name of the exception."},
    "traceback": {**_TEXT_OR_NULL, "description": "The traceback from the handler on, without redacted params."},
    "worker_id": {**_TEXT_OR_NULL, "description": "The long-lived worker of the claim."},
    "started_at": {**_MOMENT, "description": "When the job was claimed."},
    "ended_at": {**_MOMENT, "description": "When the outcome was stored."},
}
_WORKER: dict[str, Schema] = {
    "id": {**_TEXT, "description": "A new id for each start of a worker; one id for all ticks with the same jobs."},
    "host": {**_TEXT, "description": "The name of the machine."},
    "pid": {"type": ["integer", "null"], "description": "The id of the process. Null: a tick."},
    "alive": {"type": "boolean", "description": "Whether it reported within the last lease."},
    "running": {"type": "integer", "description": "How many jobs run under its claims."},
    "concurrency": {**_INTEGER, "description": "How many jobs it runs at a time."},
    "queues": {"type": ["array", "null"], "items": _TEXT, "description": "Null: all queues."},
    "version": {**_TEXT, "description": "The version of server-jobs."},
    "started_at": {**_MOMENT, "description": "When the worker started."},
    "last_seen_at": {**_MOMENT, "description": "When the worker reported last."},
}
_REASON: dict[str, Schema] = {
    "cause": {"enum": [str(cause) for cause in Cause], "description": "The kind of reason."},
    "text": {**_TEXT, "description": "The reason in one line."},
    "advice": {**_TEXT_OR_NULL, "description": "What to do about it, or null."},
    "since": {**_MOMENT_OR_NULL, "description": "Since when it applies, or null."},
    "until": {**_MOMENT_OR_NULL, "description": "Until when it applies, or null."},
}
_WHY: dict[str, Schema] = {
    "id": _TEXT,
    "job_name": _TEXT,
    "status": _STATUS,
    "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
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
                "title": {**_TEXT, "description": "The reason of the refusal."},
                "status": {**_INTEGER, "description": "The status of the response."},
                "errors": {
                    "description": "Each problem, with the JSON pointer of its place.",
                    "type": "array",
                    "items": _object({"pointer": _TEXT, "detail": _TEXT}),
                },
                "more_errors": {**_INTEGER, "description": "The number of problems that `errors` leaves out."},
            },
            optional=("errors", "more_errors"),
        ),
        "JobSummary": _object(_SUMMARY),
        "Job": _object({**_SUMMARY, **_DETAILS}),
        "Attempt": _object(_ATTEMPT),
        "Worker": _object(
            {
                **_WORKER,
                "known_jobs": {
                    **_array(_object({"job_name": _TEXT, "spec_version": _INTEGER})),
                    "description": "The jobs that it can run.",
                },
            }
        ),
        "Reason": _object(
            {**_REASON, "jobs": {**_array(_TEXT), "description": "The ids of the jobs that stand in the way."}}
        ),
        "Enqueued": _object(
            {
                "id": _TEXT,
                "job_name": _TEXT,
                "created": {"type": "boolean", "description": "False for the unfinished job that has the unique key."},
            }
        ),
    }
    schemas |= _bulk_schemas()
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
    following = {**_TEXT_OR_NULL, "description": "The `before` of the next page, also after a page that is not full."}
    page = _object({"jobs": {"type": "array", "items": _ref("JobSummary")}, "next": following})
    outcome = _object({"outcome": {"enum": [str(Cancellation.CANCELLED), str(Cancellation.REQUESTED)]}})
    return {
        "/trigger": {
            "post": _operation(
                "trigger",
                "Run one tick: expire leases, fire schedules, run due jobs, and prune.",
                {200: _json(_object(_counts()))},
                _WRITING,
                scope=Scope.ADMIN,
            )
        },
        "/status": {
            "get": _operation(
                "status",
                "Return the number of jobs by name and status, and the newest jobs.",
                {200: _json(_status())},
                scope=Scope.READ,
            )
        },
        "/health": {
            "get": _operation(
                "health",
                "Return whether the database answers.",
                {
                    code: _json(_object({"ok": {"type": "boolean"}}), f"The database {answers}.")
                    for code, answers in ((200, "answers"), (503, "does not answer"))
                },
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics", "Return metrics for Prometheus.", {200: _content("text/plain", _TEXT)}, scope=Scope.READ
            )
        },
        "/openapi.json": {"get": _operation("openapi", "Return this document.", {200: _json({"type": "object"})})},
        "/jobs": {
            "get": {
                **_operation("list_jobs", "List jobs, newest first.", {200: _json(page)}, (422,), scope=Scope.READ),
                "parameters": _query_parameters(ListParameters),
            }
        },
        **{f"/bulk/{action}": {"post": _bulk(action)} for action in BulkAction},
        "/jobs/{id}": {
            "get": {
                **_operation("show_job", "Return one job.", {200: _json(_ref("Job"))}, (404,), scope=Scope.READ),
                "parameters": [job_id],
            },
            "delete": {
                **_operation(
                    "delete_job",
                    "Delete a pending or finished job.",
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
                    "Cancel a pending job, or ask a running job to stop.",
                    {
                        200: _json(outcome, "The job is cancelled."),
                        202: _json(outcome, "The running job is asked to stop."),
                    },
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
                    "Make a failed or cancelled job pending again.",
                    {200: _json(_ref("JobSummary"))},
                    (*_WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/attempts": {
            "get": {
                **_operation(
                    "list_attempts",
                    "Return the last attempts of a job that did not complete, oldest first.",
                    {200: _json(_object({"attempts": _array(_ref("Attempt"))}))},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/why": {
            "get": {
                **_operation(
                    "explain_job",
                    "Return why a job waits, runs or has ended, the weightiest reason first.",
                    {200: _json(_object(_WHY))},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [job_id],
            }
        },
        "/batches/{id}": {
            "get": {
                **_operation(
                    "show_batch",
                    "Count the jobs of a batch by status.",
                    {200: _json(_object(_BATCH))},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [{**job_id, "description": "The id of the batch."}],
            }
        },
        "/workers": {
            "get": _operation(
                "list_workers",
                "Return the workers that are alive, and those that died within a week.",
                {200: _json(_object({"workers": _array(_ref("Worker"))}))},
                scope=Scope.READ,
            )
        },
        "/jobs/{id}/events": {
            "get": {
                **_operation(
                    "watch_job",
                    "Stream the progress of a job as server-sent events.",
                    {200: _content("text/event-stream", _TEXT)},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [job_id],
            }
        },
    }


_BULK = {
    BulkAction.RETRY: "Make all failed jobs of a filter pending again, or those in the stated status.",
    BulkAction.CANCEL: "Cancel all pending jobs of a filter, and ask the running ones to stop.",
    BulkAction.DELETE: "Delete all pending and finished jobs of a filter.",
}


def _bulk(action: BulkAction) -> Schema:
    answers = {200: _json(_ref("BulkResult"))}
    refusals = (*_WRITING, 408, 415, 422)
    return {
        **_operation(f"{action}_jobs", _BULK[action], answers, refusals, scope=Scope.ADMIN),
        "requestBody": {"required": True, **_json(_ref("BulkChange"))},
    }


@cache
def _bulk_schemas() -> Schema:
    body = BulkBody.model_json_schema()
    body["properties"]["status"]["anyOf"][0] = _STATUS
    for part in body["properties"].values():
        part.pop("title", None)
    count = _object({"job_name": _TEXT, "status": _STATUS, "count": _INTEGER})
    result: dict[str, Schema] = {
        "found": {"type": "array", "items": count, "description": "The jobs that matched, by name and status."},
        "dry_run": {"type": "boolean", "description": "Whether the request only counted the jobs."},
        "results": {"type": "object", "additionalProperties": _INTEGER, "description": "Counts by result."},
        "next": {**_TEXT_OR_NULL, "description": "The `after` of the next request; null at the end."},
    }
    return {
        "BulkChange": {key: value for key, value in body.items() if key not in ("$defs", "title")},
        "BulkResult": _object(result),
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
    params = {"description": body["properties"]["params"]["description"], **_ref(f"{name}Params")}
    body["properties"] = {**body["properties"], "params": params}
    answers = {
        201: _json(_ref("Enqueued"), "The job is stored."),
        200: _json(_ref("Enqueued"), "An unfinished job has the unique key. Nothing is stored."),
    }
    return {
        **_operation(f"enqueue_{name}", f"Enqueue {name}.", answers, (*_WRITING, 408, 415, 422), scope=Scope.ENQUEUE),
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
        {"name": name, "in": "query", "required": False, "schema": _parameter_schema(name, found)}
        | {"description": found.get("description", "")}
        for name, found in schema["properties"].items()
    ]


def _parameter_schema(name: str, found: Schema) -> Schema:
    known: dict[str, Schema] = {
        "status": _STATUS,
        "limit": _INTEGER,
        "parked": {"type": "boolean"},
        "before": {**_TEXT, "format": "uuid"},
        "where": {"type": "array", "items": _TEXT, "maxItems": MOST_CONDITIONS},
        **dict.fromkeys(("older_than", "newer_than"), found.get("anyOf", [_TEXT])[0]),
    }
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
    problems = {str(code): _content(PROBLEM_TYPE, _ref("Problem"), _REFUSALS[code]) for code in codes}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"token": [] if scope is None else [str(scope)]}],
        "responses": problems | {str(code): {"description": summary, **answer} for code, answer in answers.items()},
    }


def _object(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema, description: str | None = None) -> Schema:
    return _content("application/json", schema, description)


def _content(kind: str, schema: Schema, description: str | None = None) -> Schema:
    content: Schema = {"content": {kind: {"schema": schema}}}
    return content if description is None else {"description": description, **content}
