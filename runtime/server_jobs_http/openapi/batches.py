"""The schemas of batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ..routes.batches import BatchBody, CompletionBody
from ..schema_parts import TEXT, Schema, array_of, object_of, ref

_JOB: dict[str, Schema] = {
    "id": TEXT,
    "created": {
        "type": "boolean",
        "description": "False for the unfinished job that has the unique key, which does not belong to the batch.",
    },
}
_ENQUEUED: dict[str, Schema] = {
    "id": {**TEXT, "description": "The id of the batch, and of its completion job."},
    "job_name": {**TEXT, "description": "The name of its jobs."},
    "jobs": {**array_of(object_of(_JOB)), "description": "The jobs, in the order of the params."},
}


def batch_schemas(names: Sequence[str]) -> Schema:
    """Return the components of batches of these jobs. `CompletionJob` is one of the jobs with its params."""
    schemas: Schema = {"EnqueuedBatch": object_of(_ENQUEUED)}
    if names:
        schemas["CompletionJob"] = {"oneOf": [_completion_job(name) for name in names]}
    return schemas


def batch_body(name: str) -> Schema:
    """Return the schema of the body that enqueues many jobs of this name."""
    body = {key: value for key, value in _body().items() if key != "$defs"}
    params = {**body["properties"]["params"], "items": ref(f"{name}Params")}
    then = {**body["properties"]["then"], "anyOf": [ref("CompletionJob"), {"type": "null"}]}
    body["properties"] = {**body["properties"], "params": params, "then": then}
    return body


def _completion_job(name: str) -> Schema:
    body = {key: value for key, value in CompletionBody.model_json_schema().items() if key != "title"}
    job_name = {"const": name, "description": body["properties"]["job_name"]["description"]}
    params = {"description": body["properties"]["params"]["description"], **ref(f"{name}Params")}
    body["properties"] = {**body["properties"], "job_name": job_name, "params": params}
    return body


@cache
def _body() -> Schema:
    return BatchBody.model_json_schema()
