"""The operations of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache

from server_jobs.domain.statistics import BatchCounts
from server_jobs.security.tokens import Scope

from ..routes.batches import BatchBody, CompletionBody
from .parts import EXPIRES, INTEGER, TEXT, WRITING, Schema, array_of, content, json_content, object_of, operation, ref

_COUNTS: dict[str, Schema] = {
    "id": {**TEXT, "description": "The id of the batch, and of its completion job."},
    **{one.name: INTEGER for one in fields(BatchCounts)},
    "total": {**INTEGER, "description": "The stored jobs of the batch, without its completion job."},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "The share of finished jobs."},
}
_JOB: dict[str, Schema] = {
    "id": TEXT,
    "created": {
        "type": "boolean",
        "description": "False for the unfinished job that has the unique key, which does not belong to the batch.",
    },
}
_ENQUEUED: dict[str, Schema] = {
    "id": _COUNTS["id"],
    "job_name": {**TEXT, "description": "The name of its jobs."},
    "jobs": {**array_of(object_of(_JOB)), "description": "The jobs, in the order of the params."},
}
_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": TEXT, "description": "The id of the batch."}


def batch_paths() -> Mapping[str, Schema]:
    counts = {200: json_content(object_of(_COUNTS))}
    stream = {200: content("text/event-stream", TEXT)}
    show = operation("show_batch", "Count the jobs of a batch by status.", counts, (404,), scope=Scope.READ)
    summary = "Stream the counts of a batch as server-sent events."
    watch = operation("watch_batch", summary, stream, (404,), scope=Scope.READ, by_link=True)
    return {
        "/batches/{id}": {"get": {**show, "parameters": [_ID]}},
        "/batches/{id}/events": {"get": {**watch, "parameters": [_ID, EXPIRES]}},
    }


def batch_schemas(names: Sequence[str]) -> Schema:
    """Return the components of batches of these jobs. `CompletionJob` is one of the jobs with its params."""
    schemas: Schema = {"EnqueuedBatch": object_of(_ENQUEUED)}
    if names:
        schemas["CompletionJob"] = {"oneOf": [_completion_job(name) for name in names]}
    return schemas


def enqueue_batch(name: str, description: str) -> Schema:
    answers = {201: json_content(ref("EnqueuedBatch"), "The jobs are stored.")}
    refusals = (*WRITING, 404, 408, 415, 422)
    body = {key: value for key, value in _body().items() if key != "$defs"}
    params = {**body["properties"]["params"], "items": ref(f"{name}Params")}
    then = {**body["properties"]["then"], "anyOf": [ref("CompletionJob"), {"type": "null"}]}
    body["properties"] = {**body["properties"], "params": params, "then": then}
    summary = f"Enqueue {name} many times in one transaction."
    return {
        **operation(f"enqueue_{name}_batch", summary, answers, refusals, scope=Scope.ENQUEUE),
        "description": description,
        "requestBody": {"required": True, **json_content(body)},
    }


def _completion_job(name: str) -> Schema:
    body = {key: value for key, value in CompletionBody.model_json_schema().items() if key != "title"}
    job_name = {"const": name, "description": body["properties"]["job_name"]["description"]}
    params = {"description": body["properties"]["params"]["description"], **ref(f"{name}Params")}
    body["properties"] = {**body["properties"], "job_name": job_name, "params": params}
    return body


@cache
def _body() -> Schema:
    return BatchBody.model_json_schema()
