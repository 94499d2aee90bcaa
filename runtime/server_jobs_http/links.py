"""Requests with a signed link instead of a token. A link opens the events of one job or batch."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from server_jobs.security.links import Followed, end_of_link, seconds_until
from server_jobs.security.tokens import Caller, Tokens
from server_jobs.security.tokens import Scope as TokenScope
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from .problem_document import RefusedError

JOB_EVENTS_PATH = "/jobs/{id}/events"
BATCH_EVENTS_PATH = "/batches/{id}/events"

_EVENTS: Mapping[Followed, Route] = {  # for `matches` only
    "jobs": Route(JOB_EVENTS_PATH, Response, methods=["GET"]),
    "batches": Route(BATCH_EVENTS_PATH, Response, methods=["GET"]),
}
_END = "server_jobs.link_end"


def caller_of_link(scope: Scope, tokens: Tokens) -> Caller | None:
    """Return the caller of a request with a valid link; None if it has no link, or asks for something else.

    Raises `RefusedError` (403) if the link was changed, or has expired. `EventSource` then stops to connect.
    """
    for kind, route in _EVENTS.items():
        match, found = route.matches(scope)
        if match is Match.FULL:
            query, followed_id = QueryParams(scope["query_string"]), found["path_params"]["id"]
            if "signature" not in query:
                return None
            scope[_END] = _checked_end(query, tokens, kind, followed_id)
            return Caller(f"link to {kind}/{followed_id}", {TokenScope.READ: None})
    return None


def _checked_end(query: QueryParams, tokens: Tokens, kind: Followed, followed_id: str) -> int:
    """Return the Unix time at which the link expires. Raises `RefusedError`."""
    end = end_of_link(tokens, kind, followed_id, query.get("expires", ""), query["signature"])
    if end is None:
        name = "job" if kind == "jobs" else "batch"
        raise RefusedError(403, f"this server did not sign the link for this {name} and time; get a new link")
    if seconds_until(end) <= 0:
        raise RefusedError(403, "the link has expired; get a new link")
    return end


def is_of_link(scope: Scope) -> bool:
    """Whether the caller of an admitted request has a link instead of a token."""
    return _END in scope


def seconds_left(request: Request) -> float:
    """Return the seconds until the link of this request expires; infinity for a request with a token."""
    end: int | None = request.scope.get(_END)
    return inf if end is None else seconds_until(end)
