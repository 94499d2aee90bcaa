"""The AsyncAPI 3 document of the jobs: a channel for each queue, a message for the params and the result of each job.

It is told from the side of the application that both queues jobs and works them off. Of a retired job none is queued.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.contract.json_schema import Schema, refer_by

from ..ir.job_facts import job_facts
from ..ir.spec import JobSpec
from .json_text import json_text

_DIALECT = "application/schema+json;version=draft-2020-12"
_RESULTS = "results"
_ABOUT = (
    "What is queued, and what comes of it. A job is a row of a table: its params are stored with it when it is "
    "queued, its result when it has completed."
)

Part = dict[str, JsonValue]


def asyncapi_text(jobs: Sequence[JobSpec]) -> str:
    """The document, which refers to nothing outside itself."""
    return json_text(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "Jobs", "version": __version__, "description": _ABOUT},
            "defaultContentType": "application/json",
            "channels": _channels(jobs),
            "operations": {name: operation for job in jobs for name, operation in _operations(job).items()},
            "components": {
                "messages": {name: message for job in jobs for name, message in _messages(job).items()},
                "schemas": {name: schema for job in jobs for name, schema in _schemas(job).items()},
            },
        }
    )


def _channels(jobs: Sequence[JobSpec]) -> Part:
    channels: Part = {
        _channel(queue): {
            "address": queue,
            "title": f"The queue {queue}",
            "messages": {
                _params(job): _ref("components", "messages", _params(job)) for job in jobs if job.options.queue == queue
            },
        }
        for queue in sorted({job.options.queue for job in jobs})
    }
    channels[_RESULTS] = {
        "address": None,
        "title": "Results",
        "description": "The result of a job is stored in its own row, where whoever knows its id finds it.",
        "messages": {_result(job): _ref("components", "messages", _result(job)) for job in jobs},
    }
    return channels


def _operations(job: JobSpec) -> Part:
    channel = _channel(job.options.queue)
    common: Part = {
        "channel": _ref("channels", channel),
        "messages": [_ref("channels", channel, "messages", _params(job))],
    }
    reply: Part = {
        "channel": _ref("channels", _RESULTS),
        "messages": [_ref("channels", _RESULTS, "messages", _result(job))],
    }
    run: Part = {
        "action": "receive",
        "title": f"Run a {job.class_name}",
        **_described(job.description),
        **common,
        "reply": reply,
        "x-job": job_facts(job),
    }
    if job.options.retired:
        return {f"run{job.class_name}": run}
    enqueue: Part = {"action": "send", "title": f"Queue a {job.class_name}", **common}
    return {f"enqueue{job.class_name}": enqueue, f"run{job.class_name}": run}


def _messages(job: JobSpec) -> Part:
    return {
        _params(job): _message(_params(job), f"Params of {job.class_name}", job.params, job.description),
        _result(job): _message(_result(job), f"Result of {job.class_name}", job.result, None),
    }


def _message(name: str, title: str, schema: Schema, description: str | None) -> Part:
    message: Part = {
        "name": name,
        "title": title,
        **_described(description),
        "contentType": "application/json",
        "payload": _ref("components", "schemas", name),
    }
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        message["examples"] = [{"payload": example} for example in examples]
    return message


def _schemas(job: JobSpec) -> Part:
    # An operation of AsyncAPI cannot be deprecated; a schema can.
    retired: Part = {"deprecated": True} if job.options.retired else {}
    parts = {_params(job): {**job.params, **retired}, _result(job): {**job.result, **retired}}
    return {name: {"schemaFormat": _DIALECT, "schema": _schema(name, schema)} for name, schema in parts.items()}


def _schema(name: str, schema: Schema) -> JsonValue:
    return refer_by(schema, lambda definition: _pointer("components", "schemas", name, "schema", "$defs", definition))


def _described(description: str | None) -> Part:
    return {"description": description} if description else {}


def _params(job: JobSpec) -> str:
    """With a word behind it like that of the result, so that no job is called like the message of another one."""
    return f"{job.class_name}Params"


def _result(job: JobSpec) -> str:
    return f"{job.class_name}Result"


def _channel(queue: str) -> str:
    """Apart from the channel of results, whatever the queue is called."""
    return f"queue-{queue}"


def _ref(*path: str) -> Part:
    return {"$ref": _pointer(*path)}


def _pointer(*path: str) -> str:
    return "#/" + "/".join(path)
