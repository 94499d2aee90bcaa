"""The OpenAPI 3.1 document of the routes and jobs, for a registry or for specs, and the components of its schemas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.contract.json_schema import JobSchemas, definitions_of, refer_by
from server_jobs.contract.json_schema import Schema as JsonSchema
from server_jobs.domain.record import Outcome
from server_jobs.inspection.why import Cause
from server_jobs.registry import JobRegistry

from ..routes.bulk import BulkBody
from ..routes.table import DESCRIBED
from ..schema_parts import (
    INTEGER,
    MOMENT,
    MOMENT_OR_NULL,
    STATUS,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    array_of,
    object_of,
)
from .batches import batch_schemas
from .job_fields import DETAILS, SUMMARY
from .paths import paths_of
from .schedules import SCHEDULE

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
        "JobSummary": object_of(SUMMARY),
        "Job": object_of({**SUMMARY, **DETAILS}),
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
    for name, job in jobs.items():
        schemas |= _components(job.params, f"{name}Params")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Jobs", "version": __version__},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths_of(DESCRIBED, {name: job.description for name, job in jobs.items()}),
        "components": {"schemas": schemas, "securitySchemes": {"token": _TOKEN, "link": _LINK}},
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


def _components(schema: JsonSchema, name: str) -> Schema:
    """Return a schema and its definitions, under names that start with its name."""
    parts: dict[str, JsonValue] = {name: {key: value for key, value in schema.items() if key != "$defs"}}
    parts |= {f"{name}.{part}": found for part, found in definitions_of(schema).items()}
    return {key: refer_by(part, lambda part: f"#/components/schemas/{name}.{part}") for key, part in parts.items()}
