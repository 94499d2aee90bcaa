"""The AsyncAPI 3 document of the jobs: a channel for each queue, a message for the params and the result of each job.

It is told from the side of the application that both queues jobs and works them off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.json_schema import refer_by

from ..spec import JobSpec
from .job_facts import job_facts
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
                job.class_name: _ref("components", "messages", job.class_name)
                for job in jobs
                if job.options.queue == queue
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
        "messages": [_ref("channels", channel, "messages", job.class_name)],
    }
    reply: Part = {
        "channel": _ref("channels", _RESULTS),
        "messages": [_ref("channels", _RESULTS, "messages", _result(job))],
    }
    return {
        f"enqueue{job.class_name}": {"action": "send", "title": f"Queue a {job.class_name}", **common},
        f"run{job.class_name}": {
            "action": "receive",
            "title": f"Run a {job.class_name}",
            **_described(job.description),
            **common,
            "reply": reply,
            "x-job": job_facts(job),
        },
    }


def _messages(job: JobSpec) -> Part:
    params: Part = {
        "name": job.class_name,
        "title": f"Params of {job.class_name}",
        **_described(job.description),
        "contentType": "application/json",
        "payload": _ref("components", "schemas", f"{job.class_name}Params"),
    }
    examples = job.params.get("examples")
    if isinstance(examples, list) and examples:
        params["examples"] = [{"payload": example} for example in examples]
    result: Part = {
        "name": _result(job),
        "title": f"Result of {job.class_name}",
        "contentType": "application/json",
        "payload": _ref("components", "schemas", _result(job)),
    }
    return {job.class_name: params, _result(job): result}


def _schemas(job: JobSpec) -> Part:
    parts = {f"{job.class_name}Params": job.params, _result(job): job.result}
    return {name: {"schemaFormat": _DIALECT, "schema": _schema(name, schema)} for name, schema in parts.items()}


def _schema(name: str, schema: Mapping[str, JsonValue]) -> JsonValue:
    return refer_by(schema, lambda definition: _pointer("components", "schemas", name, "schema", "$defs", definition))


def _described(description: str | None) -> Part:
    return {"description": description} if description else {}


def _result(job: JobSpec) -> str:
    return f"{job.class_name}Result"


def _channel(queue: str) -> str:
    """Apart from the channel of results, whatever the queue is called."""
    return f"queue-{queue}"


def _ref(*path: str) -> Part:
    return {"$ref": _pointer(*path)}


def _pointer(*path: str) -> str:
    return "#/" + "/".join(path)
