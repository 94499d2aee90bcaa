"""A tool for each job: it enqueues the job, and waits for its result."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from pydantic import JsonValue
from server_jobs.contract.json_schema import Schema, definitions_of
from server_jobs.domain.audit import enqueuing_as
from server_jobs.domain.clock import exact_length
from server_jobs.domain.record import JobStatus
from server_jobs.engine.backend import Backend
from server_jobs.errors import JobFailedError
from server_jobs.inspection.job_document import parsed
from server_jobs.job import AnyJob
from server_jobs_cli.console.workspace import actor

from .tool import Answer, Arguments, Effects, Tool

_RUNS = Effects(is_destructive=True, is_open=True)
"""The handler of a job may do anything."""

_UNFINISHED = (JobStatus.PENDING, JobStatus.RUNNING)


def job_tools(backend: Backend, wait: timedelta) -> list[Tool]:
    """Return a tool for each job that can be enqueued. Each call waits for a result up to `wait`."""
    return [_tool(backend, job, wait) for job in backend.registry.offered()]


def _tool(backend: Backend, job: AnyJob, wait: timedelta) -> Tool:
    schemas, bound = job.schemas(), job.using(backend)

    async def call(arguments: Arguments) -> Answer:
        with enqueuing_as(actor()):
            handle = await bound.later(arguments)
        with suppress(TimeoutError):
            await handle.result(timeout=wait)
        record = await handle.record()
        if record.status not in (*_UNFINISHED, JobStatus.COMPLETED):
            raise JobFailedError(record.job_name, record.id, record.status, record.error)
        return Answer(
            {
                "id": record.id,
                "job_name": record.job_name,
                "status": record.status,
                "created": handle.created,
                "result": parsed(record.result),
            },
            f"It has not finished within {exact_length(wait)}, and goes on: `show_job` reads its result later, and "
            "`explain_job` says why it waits."
            if record.status in _UNFINISHED
            else None,
        )

    about = (
        f"Enqueue the job {job.job_name} in the queue {job.options.queue}, and wait up to {exact_length(wait)} for it."
    )
    return Tool(
        name=job.job_name,
        description=f"{schemas.description}\n\n{about}" if schemas.description else about,
        input_schema={"type": "object", **schemas.params},
        output_schema=_output_schema(schemas.result),
        call=call,
        effects=_RUNS,
    )


def _output_schema(result: Schema) -> Schema:
    """Return the schema of an answer. The definitions of the result stay at its root, where references find them."""
    own: dict[str, JsonValue] = {key: value for key, value in result.items() if key != "$defs"}
    properties: dict[str, JsonValue] = {
        "id": {"type": "string", "description": "The id of the job."},
        "job_name": {"type": "string", "description": "The name of the job."},
        "status": {"enum": [str(status) for status in (*_UNFINISHED, JobStatus.COMPLETED)]},
        "created": {
            "type": "boolean",
            "description": "False if an unfinished job with the same unique key existed. Then this is that job.",
        },
        "result": {"anyOf": [own, {"type": "null"}], "description": "The result; null until the job is completed."},
    }
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    definitions = definitions_of(result)
    return {**schema, "$defs": dict(definitions)} if definitions else schema
