"""The OpenAPI document of the HTTP routes, and the AsyncAPI document of the jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.contract.json_schema import JobSchemas, Schema, refer_by
from server_jobs_generator.ir.job_facts import job_facts
from server_jobs_generator.ir.spec import JobSpec

_DIALECT = "application/schema+json;version=draft-2020-12"
_RESULTS = "results"
_ABOUT = (
    "Queued jobs and their results. A job is a row of a table. Its params are stored when it is queued, and its result "
    "when it has completed."
)

Part = dict[str, JsonValue]
_NOT_ASCII = re.compile(r"[^\0-~]")


def openapi_text(jobs: Sequence[JobSpec]) -> str:
    """Return the OpenAPI 3.1 document: the answer of `GET /_jobs/openapi.json` for these jobs at the default URL."""
    # Imported late, because the other document needs no routes.
    from server_jobs_http.app import PREFIX
    from server_jobs_http.openapi import document_of

    schemas = {
        job.class_name: JobSchemas(job.params, job.result, job.description or "")
        for job in jobs
        if not job.options.retired
    }
    return json_text(document_of(schemas, server=PREFIX))


def asyncapi_text(jobs: Sequence[JobSpec]) -> str:
    """Return the AsyncAPI 3 document: a channel for each queue, and a message for the params and result of each job.

    It describes an application that both enqueues and runs the jobs, and has no external references. A retired job has
    no operation for enqueueing.
    """
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
        "description": "The result of a job is stored in its own row, where it can be read by its id.",
        "messages": {_result(job): _ref("components", "messages", _result(job)) for job in jobs if job.has_result},
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
    replies: Part = {"reply": reply} if job.has_result else {}
    run: Part = {
        "action": "receive",
        "title": f"Run a {job.class_name}",
        **_described(job.description),
        **common,
        **replies,
        "x-job": job_facts(job),
    }
    if job.options.retired:
        return {f"run{job.class_name}": run}
    enqueue: Part = {"action": "send", "title": f"Queue a {job.class_name}", **common}
    return {f"enqueue{job.class_name}": enqueue, f"run{job.class_name}": run}


def _messages(job: JobSpec) -> Part:
    params: Part = {_params(job): _message(_params(job), f"Params of {job.class_name}", job.params, job.description)}
    if not job.has_result:
        return params
    return {**params, _result(job): _message(_result(job), f"Result of {job.class_name}", job.result, None)}


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
    # AsyncAPI cannot mark an operation as deprecated, but it can mark a schema.
    retired: Part = {"deprecated": True} if job.options.retired else {}
    parts = {_params(job): job.params, **({_result(job): job.result} if job.has_result else {})}
    return {
        name: {"schemaFormat": _DIALECT, "schema": _schema(name, {**schema, **retired})}
        for name, schema in parts.items()
    }


def _schema(name: str, schema: Schema) -> JsonValue:
    return refer_by(schema, lambda definition: _pointer("components", "schemas", name, "schema", "$defs", definition))


def _described(description: str | None) -> Part:
    return {"description": description} if description else {}


def _params(job: JobSpec) -> str:
    """Return the name of the params' message. Its suffix keeps it apart from job names."""
    return f"{job.class_name}Params"


def _result(job: JobSpec) -> str:
    return f"{job.class_name}Result"


def _channel(queue: str) -> str:
    """Return the name of a queue's channel, which differs from the results' channel for every queue."""
    return f"queue-{queue}"


def _ref(*path: str) -> Part:
    return {"$ref": _pointer(*path)}


def _pointer(*path: str) -> str:
    return "#/" + "/".join(path)


def json_text(value: object) -> str:
    """Return the text of a document in its original order, with invisible characters escaped.

    Characters above U+FFFF stay, because JSON escapes them with surrogate pairs, which YAML parsers reject.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return _NOT_ASCII.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() or ord(character) > 0xFFFF else f"\\u{ord(character):04x}"
