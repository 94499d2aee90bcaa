"""The parts of which operations and components are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server_jobs.domain.record import JobStatus
from server_jobs.inspection.problem_document import PROBLEM_TYPE
from server_jobs.security.tokens import Scope

Schema = dict[str, Any]
"""A part of a JSON document of OpenAPI or JSON Schema."""

MOMENT: Schema = {"type": "string", "format": "date-time"}
MOMENT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
STATUS: Schema = {"enum": [str(one) for one in JobStatus]}
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
INTEGER: Schema = {"type": "integer"}

EXPIRES: Schema = {
    "name": "expires",
    "in": "query",
    "schema": INTEGER,
    "description": "Only with a signature: the Unix time at which the signed link expires. Then the stream ends.",
}

WRITING = (400, 403, 411, 413, 421)
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


def operation(
    operation_id: str,
    summary: str,
    answers: Mapping[int, Schema],
    refusals: tuple[int, ...] = (),
    *,
    scope: Scope | None = None,
    by_link: bool = False,
) -> Schema:
    codes = sorted({401, *((403,) if scope else ()), *refusals, 429, 503})
    problems = {str(code): content(PROBLEM_TYPE, ref("Problem"), _REFUSALS[code]) for code in codes}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"token": [] if scope is None else [str(scope)]}, *([{"link": []}] if by_link else [])],
        "responses": problems | {str(code): {"description": summary, **answer} for code, answer in answers.items()},
    }


def object_of(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def array_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def json_content(schema: Schema, description: str | None = None) -> Schema:
    return content("application/json", schema, description)


def content(kind: str, schema: Schema, description: str | None = None) -> Schema:
    content: Schema = {"content": {kind: {"schema": schema}}}
    return content if description is None else {"description": description, **content}
