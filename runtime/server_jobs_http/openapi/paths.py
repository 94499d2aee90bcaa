"""The paths of the OpenAPI document, made from the descriptions of the routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from pydantic import BaseModel
from server_jobs.inspection.problem_document import PROBLEM_TYPE

from ..described_route import Answer, DescribedRoute, Description
from ..routes.batches import BatchBody
from ..routes.bulk import BulkBody
from ..routes.enqueuing import EnqueueBody
from ..routes.jobs import MOST_CONDITIONS
from ..schema_parts import INTEGER, STATUS, TEXT, Schema, ref
from .batches import batch_body

_EXPIRES: Schema = {
    "name": "expires",
    "in": "query",
    "schema": INTEGER,
    "description": "Only with a signature: the Unix time at which the signed link expires. Then the stream ends.",
}

_EVERY = (401, 429, 503)
_WRITING = (400, 403, 411, 413, 421)
"""Responses to refused writes: by origin, host, or length of the body."""

_REFUSALS = {
    400: "The request is malformed: its body is not JSON, or its headers contradict each other.",
    401: "The request has no valid token.",
    403: "The token lacks the scope, the link was changed or has expired, or a page of another site sent the request.",
    404: "There is no such job, batch or schedule, or the token may not see it.",
    408: "The body did not arrive in time.",
    409: "The status of the job does not allow it, or the schedule is stored already or declared.",
    411: "The body needs a Content-Length.",
    413: "The body is too long.",
    415: "The body is not sent as JSON, or it is compressed.",
    421: "This host name is not served here.",
    422: "The body or the parameters do not fit; `errors` names each problem by its JSON pointer.",
    429: "This caller has too many open requests or streams of events; `Retry-After` says when to try again.",
    503: "The database cannot be used now, the server is stopping, or it has too many open streams of events.",
}
"""The reason of each refusal."""


def paths_of(described: Iterable[DescribedRoute], jobs: Mapping[str, str]) -> Schema:
    """Return the operations by path and method. `jobs` has the description of each job by name."""
    paths: Schema = {}
    descriptions = [one.description for one in described]
    for one in descriptions:
        if not one.per_job:
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    for name, words in jobs.items():
        for one in descriptions:
            if one.per_job:
                paths[one.path.replace("{id}", name)] = {one.method.lower(): _operation_of_job(one, name, words)}
    return paths


def _operation(described: Description) -> Schema:
    found = _common(described, described.name, described.summary)
    if parameters := list(_parameters(described)):
        found["parameters"] = parameters
    if described.body is not None:
        found["requestBody"] = _request_body(_body(described.body))
    return found


def _operation_of_job(described: Description, name: str, words: str) -> Schema:
    found = _common(described, described.name.format(name=name), described.summary.format(name=name))
    body = batch_body(name) if described.body is BatchBody else _enqueue_body(name)
    return {**found, "description": words, "requestBody": _request_body(body)}


def _common(described: Description, name: str, summary: str) -> Schema:
    scopes = [] if described.scope is None else [str(described.scope)]
    problems = {str(code): _content(ref("Problem"), PROBLEM_TYPE, _REFUSALS[code]) for code in _refusals(described)}
    answers = {str(code): _answer(answer, summary) for code, answer in described.answers.items()}
    return {
        "operationId": name,
        "summary": summary,
        "security": [{"token": scopes}, *([{"link": []}] if described.by_link else [])],
        "responses": problems | answers,
    }


def _refusals(described: Description) -> list[int]:
    codes = {*_EVERY, *described.refusals}
    if described.scope is not None:
        codes.add(403)
    if described.method != "GET":
        codes.update(_WRITING)
    if described.path_parameters:
        codes.add(404)
    if described.body is not None:
        codes.update((408, 415, 422))
    if described.query is not None:
        codes.add(422)
    return sorted(codes)


def _answer(answer: Answer, summary: str) -> Schema:
    return _content(answer.schema, answer.media_type, answer.description or summary)


def _content(schema: Schema, media_type: str, description: str) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _request_body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _body(model: type[BaseModel]) -> Schema:
    if model is BulkBody:
        return ref("BulkChange")
    return {key: value for key, value in _schema_of(model).items() if key not in ("$defs", "title")}


@cache
def _schema_of(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def _enqueue_body(name: str) -> Schema:
    # Definitions of the params are included.
    body = {key: value for key, value in _schema_of(EnqueueBody).items() if key != "$defs"}
    params = {"description": body["properties"]["params"]["description"], **ref(f"{name}Params")}
    body["properties"] = {"params": params} | body["properties"] | {"params": params}
    return body


def _parameters(described: Description) -> Iterator[Schema]:
    for name, words in described.path_parameters.items():
        yield {"name": name, "in": "path", "required": True, "schema": TEXT, "description": words}
    if described.query is not None:
        yield from _query_parameters(described.query)
    if described.by_link:
        yield _EXPIRES


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
