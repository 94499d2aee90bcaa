"""The OpenAPI 3.1 document of the routes and jobs, for a registry or for specs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pydantic import BaseModel, JsonValue
from server_jobs import __version__
from server_jobs.contract.json_schema import JobSchemas, definitions_of, refer_by
from server_jobs.contract.json_schema import Schema as JsonSchema
from server_jobs.domain.record import Cancellation, Deletion, Outcome
from server_jobs.domain.search import MOST_SCANNED
from server_jobs.engine.bulk import BulkAction
from server_jobs.inspection.why import Cause
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..gate import backend_of
from ..routes.bulk import BulkBody
from ..routes.enqueuing import EnqueueBody
from ..routes.jobs import MOST_CONDITIONS, ListParameters
from .batches import batch_paths, batch_schemas, enqueue_batch
from .parts import (
    EXPIRES,
    INTEGER,
    MOMENT,
    MOMENT_OR_NULL,
    STATUS,
    TEXT,
    TEXT_OR_NULL,
    WRITING,
    Schema,
    array_of,
    content,
    json_content,
    object_of,
    operation,
    ref,
)
from .schedules import SCHEDULE, schedule_paths

_TOKEN: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token has scopes: read, enqueue, admin. Each may be limited to queues; /status, /metrics, "
    "/workers and /trigger need theirs for every queue.",
}
_LINK: Schema = {
    "type": "apiKey",
    "in": "query",
    "name": "signature",
    "description": "The signature of a link of `events_link`, which needs no token.",
}
_SUMMARY: dict[str, Schema] = {
    "id": TEXT,
    "job_name": TEXT,
    "status": STATUS,
    "parked": {"type": "boolean", "description": "Whether the job failed because its params cannot be read."},
    "queue": TEXT,
    "priority": INTEGER,
    "progress": {"type": "integer", "minimum": 0, "maximum": 100},
    "attempt_count": INTEGER,
    "max_attempts": INTEGER,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "scheduled_for": MOMENT,
    "completed_at": MOMENT_OR_NULL,
}

_DETAILS: dict[str, Schema] = {
    "spec_version": INTEGER,
    "progress_message": TEXT_OR_NULL,
    "params": {"description": "The params, with redacted values hidden."},
    "params_hidden": {**TEXT_OR_NULL, "description": "The reason why params are hidden, or null."},
    "result": {"description": "The result, or null."},
    "error": TEXT_OR_NULL,
    "error_class": {**TEXT_OR_NULL, "description": "The name of the exception of the last failed attempt."},
    "start_before": {
        **MOMENT_OR_NULL,
        "description": "The job is cancelled if it is pending after this time, or null.",
    },
    "worker_id": {**TEXT_OR_NULL, "description": "The long-lived worker of the last claim."},
    "worker_started_at": MOMENT_OR_NULL,
    "worker_expires_at": MOMENT_OR_NULL,
    "correlation_id": TEXT_OR_NULL,
    "batch_id": {**TEXT_OR_NULL, "description": "The batch of the job. A completion job has it as its own id."},
    "unique_key": TEXT_OR_NULL,
    "cancel_requested": {"type": "boolean"},
    "replaced_by": {**TEXT_OR_NULL, "description": "The job that took over its unique key while it ran, or null."},
}

_ATTEMPT: dict[str, Schema] = {
    "attempt": {"type": "integer", "description": "The number of the attempt, from 1."},
    "outcome": {
        "enum": [str(one) for one in Outcome if one not in (Outcome.COMPLETED, Outcome.LOST)],
        "description": "How the attempt ended.",
    },
    "error": {**TEXT_OR_NULL, "description": "The error, or the reason of a cancellation."},
    "error_class": {**TEXT_OR_NULL, "description": "The name of the exception."},
    "traceback": {**TEXT_OR_NULL, "description": "The traceback from the handler on, without redacted params."},
    "worker_id": {**TEXT_OR_NULL, "description": "The long-lived worker of the claim."},
    "started_at": {**MOMENT, "description": "When the job was claimed."},
    "ended_at": {**MOMENT, "description": "When the outcome was stored."},
}

_WORKER: dict[str, Schema] = {
    "id": {**TEXT, "description": "A new id for each start of a worker; one id for all ticks with the same jobs."},
    "host": {**TEXT, "description": "The name of the machine."},
    "pid": {"type": ["integer", "null"], "description": "The id of the process. Null: a tick."},
    "alive": {"type": "boolean", "description": "Whether it reported within the last lease."},
    "running": {"type": "integer", "description": "How many jobs run under its claims."},
    "concurrency": {**INTEGER, "description": "How many jobs it runs at a time."},
    "queues": {"type": ["array", "null"], "items": TEXT, "description": "Null: all queues."},
    "version": {**TEXT, "description": "The version of server-jobs."},
    "started_at": {**MOMENT, "description": "When the worker started."},
    "last_seen_at": {**MOMENT, "description": "When the worker reported last."},
}

_REASON: dict[str, Schema] = {
    "cause": {"enum": [str(cause) for cause in Cause], "description": "The kind of reason."},
    "text": {**TEXT, "description": "The reason in one line."},
    "advice": {**TEXT_OR_NULL, "description": "What to do about it, or null."},
    "since": {**MOMENT_OR_NULL, "description": "Since when it applies, or null."},
    "until": {**MOMENT_OR_NULL, "description": "Until when it applies, or null."},
}

_WHY: dict[str, Schema] = {
    "id": TEXT,
    "job_name": TEXT,
    "status": STATUS,
    "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
}


async def openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(document(backend_of(request).registry, server=request.scope.get("root_path") or "/"))


def document(registry: JobRegistry, *, server: str) -> Schema:
    """Return the document for the jobs that callers may enqueue. `server` is the URL of the routes."""
    return document_of({job.job_name: job.schemas() for job in registry.offered()}, server=server)


def document_of(jobs: Mapping[str, JobSchemas], *, server: str) -> Schema:
    """Return the document for these jobs by name, in this order."""
    schemas: Schema = {
        "Problem": object_of(
            {
                "title": {**TEXT, "description": "The reason of the refusal."},
                "status": {**INTEGER, "description": "The status of the response."},
                "errors": {
                    "description": "Each problem, with the JSON pointer of its place.",
                    "type": "array",
                    "items": object_of({"pointer": TEXT, "detail": TEXT}),
                },
                "more_errors": {**INTEGER, "description": "The number of problems that `errors` leaves out."},
            },
            optional=("errors", "more_errors"),
        ),
        "JobSummary": object_of(_SUMMARY),
        "Job": object_of({**_SUMMARY, **_DETAILS}),
        "Attempt": object_of(_ATTEMPT),
        "Schedule": object_of(SCHEDULE),
        "Worker": object_of(
            {
                **_WORKER,
                "known_jobs": {
                    **array_of(object_of({"job_name": TEXT, "spec_version": INTEGER})),
                    "description": "The jobs that it can run.",
                },
            }
        ),
        "Reason": object_of(
            {**_REASON, "jobs": {**array_of(TEXT), "description": "The ids of the jobs that stand in the way."}}
        ),
        "Enqueued": object_of(
            {
                "id": TEXT,
                "job_name": TEXT,
                "created": {"type": "boolean", "description": "False for the unfinished job that has the unique key."},
            }
        ),
    }
    schemas |= _bulk_schemas()
    schemas |= batch_schemas(list(jobs))
    paths: Schema = dict(_fixed_paths())
    for name, job in jobs.items():
        schemas |= _components(job.params, f"{name}Params")
        paths[f"/jobs/{name}"] = {"post": _enqueue(name, job.description)}
        paths[f"/batches/{name}"] = {"post": enqueue_batch(name, job.description)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Jobs", "version": __version__},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": _TOKEN, "link": _LINK}},
    }


def _fixed_paths() -> Mapping[str, Schema]:
    job_id = {"name": "id", "in": "path", "required": True, "schema": TEXT}
    following = {**TEXT_OR_NULL, "description": "The `before` of the next page, also after a page that is not full."}
    page = object_of({"jobs": {"type": "array", "items": ref("JobSummary")}, "next": following})
    outcome = object_of({"outcome": {"enum": [str(Cancellation.CANCELLED), str(Cancellation.REQUESTED)]}})
    return {
        "/trigger": {
            "post": operation(
                "trigger",
                "Run one tick: expire leases, fire schedules, run due jobs, and prune.",
                {200: json_content(object_of(_counts()))},
                WRITING,
                scope=Scope.ADMIN,
            )
        },
        "/status": {
            "get": operation(
                "status",
                "Return the number of jobs by name and status, and the newest jobs.",
                {200: json_content(_status())},
                scope=Scope.READ,
            )
        },
        "/health": {
            "get": operation(
                "health",
                "Return whether the database answers.",
                {
                    code: json_content(object_of({"ok": {"type": "boolean"}}), f"The database {answers}.")
                    for code, answers in ((200, "answers"), (503, "does not answer"))
                },
            )
        },
        "/metrics": {
            "get": operation(
                "metrics", "Return metrics for Prometheus.", {200: content("text/plain", TEXT)}, scope=Scope.READ
            )
        },
        "/openapi.json": {
            "get": operation("openapi", "Return this document.", {200: json_content({"type": "object"})})
        },
        "/jobs": {
            "get": {
                **operation(
                    "list_jobs", "List jobs, newest first.", {200: json_content(page)}, (422,), scope=Scope.READ
                ),
                "parameters": _query_parameters(ListParameters),
            }
        },
        **{f"/bulk/{action}": {"post": _bulk(action)} for action in BulkAction},
        "/jobs/{id}": {
            "get": {
                **operation("show_job", "Return one job.", {200: json_content(ref("Job"))}, (404,), scope=Scope.READ),
                "parameters": [job_id],
            },
            "delete": {
                **operation(
                    "delete_job",
                    "Delete a pending or finished job.",
                    {200: json_content(object_of({"outcome": {"const": str(Deletion.DELETED)}}))},
                    (*WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            },
        },
        "/jobs/{id}/cancel": {
            "post": {
                **operation(
                    "cancel_job",
                    "Cancel a pending job, or ask a running job to stop.",
                    {
                        200: json_content(outcome, "The job is cancelled."),
                        202: json_content(outcome, "The running job is asked to stop."),
                    },
                    (*WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/retry": {
            "post": {
                **operation(
                    "retry_job",
                    "Make a failed or cancelled job pending again.",
                    {200: json_content(ref("JobSummary"))},
                    (*WRITING, 404, 409),
                    scope=Scope.ADMIN,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/attempts": {
            "get": {
                **operation(
                    "list_attempts",
                    "Return the last attempts of a job that did not complete, oldest first.",
                    {200: json_content(object_of({"attempts": array_of(ref("Attempt"))}))},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [job_id],
            }
        },
        "/jobs/{id}/why": {
            "get": {
                **operation(
                    "explain_job",
                    "Return why a job waits, runs or has ended, the weightiest reason first.",
                    {200: json_content(object_of(_WHY))},
                    (404,),
                    scope=Scope.READ,
                ),
                "parameters": [job_id],
            }
        },
        **batch_paths(),
        "/workers": {
            "get": operation(
                "list_workers",
                "Return the workers that are alive, and those that died within a week.",
                {200: json_content(object_of({"workers": array_of(ref("Worker"))}))},
                scope=Scope.READ,
            )
        },
        **schedule_paths(),
        "/jobs/{id}/events": {
            "get": {
                **operation(
                    "watch_job",
                    "Stream the progress of a job as server-sent events.",
                    {200: content("text/event-stream", TEXT)},
                    (404,),
                    scope=Scope.READ,
                    by_link=True,
                ),
                "parameters": [job_id, EXPIRES],
            }
        },
    }


_BULK = {
    BulkAction.RETRY: "Make all failed jobs of a filter pending again, or those in the stated status.",
    BulkAction.CANCEL: "Cancel all pending jobs of a filter, and ask the running ones to stop.",
    BulkAction.DELETE: "Delete all pending and finished jobs of a filter.",
}


def _bulk(action: BulkAction) -> Schema:
    answers = {200: json_content(ref("BulkResult"))}
    refusals = (*WRITING, 408, 415, 422)
    return {
        **operation(f"{action}_jobs", _BULK[action], answers, refusals, scope=Scope.ADMIN),
        "requestBody": {"required": True, **json_content(ref("BulkChange"))},
    }


@cache
def _bulk_schemas() -> Schema:
    body = BulkBody.model_json_schema()
    body["properties"]["status"]["anyOf"][0] = STATUS
    for part in body["properties"].values():
        part.pop("title", None)
    count = object_of({"job_name": TEXT, "status": STATUS, "count": INTEGER})
    result: dict[str, Schema] = {
        "found": {"type": "array", "items": count, "description": "The jobs that matched, by name and status."},
        "dry_run": {"type": "boolean", "description": "Whether the request only counted the jobs."},
        "results": {"type": "object", "additionalProperties": INTEGER, "description": "Counts by result."},
        "next": {**TEXT_OR_NULL, "description": "The `after` of the next request; null at the end."},
    }
    return {
        "BulkChange": {key: value for key, value in body.items() if key not in ("$defs", "title")},
        "BulkResult": object_of(result),
    }


def _counts() -> dict[str, Schema]:
    return {
        "status": {"const": "triggered"},
        **dict.fromkeys(("expired", "scheduled", "completed", "failed"), INTEGER),
    }


def _status() -> Schema:
    count = object_of({"job_name": TEXT, "status": STATUS, "count": INTEGER})
    exact = f"False with {MOST_SCANNED:,} jobs or more: the counts are then the least numbers."
    return object_of(
        {
            "exact": {"type": "boolean", "description": exact},
            "counts": {"type": "array", "items": count},
            "jobs": {"type": "array", "items": ref("JobSummary")},
            "paused_queues": {"type": "array", "items": TEXT},
        }
    )


def _enqueue(name: str, description: str) -> Schema:
    # Definitions of the params are included.
    body = {key: value for key, value in _enqueue_body().items() if key != "$defs"}
    params = {"description": body["properties"]["params"]["description"], **ref(f"{name}Params")}
    body["properties"] = {"params": params} | body["properties"] | {"params": params}
    answers = {
        201: json_content(ref("Enqueued"), "The job is stored."),
        200: json_content(ref("Enqueued"), "An unfinished job has the unique key. Nothing is stored."),
    }
    return {
        **operation(f"enqueue_{name}", f"Enqueue {name}.", answers, (*WRITING, 408, 415, 422), scope=Scope.ENQUEUE),
        "description": description,
        "requestBody": {"required": True, **json_content(body)},
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
        "status": STATUS,
        "limit": INTEGER,
        "parked": {"type": "boolean"},
        "before": {**TEXT, "format": "uuid"},
        "where": {"type": "array", "items": TEXT, "maxItems": MOST_CONDITIONS},
        **dict.fromkeys(("older_than", "newer_than"), found.get("anyOf", [TEXT])[0]),
    }
    return known.get(name, TEXT)
