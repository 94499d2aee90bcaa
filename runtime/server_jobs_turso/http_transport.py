"""The interface of HTTP clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from server_jobs.errors import DatabaseUnreachableError

from .url import Endpoint


class UnreachableError(DatabaseUnreachableError):
    """There was no connection, so the request was not executed."""


class UnansweredError(DatabaseUnreachableError):
    """The answer is lost. The request may or may not have been executed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with any status."""

    status: int
    text: str


class Transport(Protocol):
    """A client for one server."""

    async def post(self, body: str) -> Reply:
        """Send the body and return the response. Does not follow redirects.

        Raises `UnreachableError`, `UnansweredError`, and `DatabaseUnreachableError` after the timeout. Every other
        failure is a `DatabaseError`.
        """
        ...

    async def close(self) -> None:
        """Close all connections. The next request opens new ones."""
        ...


def headers_for(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers of each request."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "server-jobs"}
    return headers if endpoint.token is None else headers | {"Authorization": f"Bearer {endpoint.token}"}


def timed_out(endpoint: Endpoint, timeout: timedelta) -> DatabaseUnreachableError:
    """Return the error for a timeout."""
    return DatabaseUnreachableError(
        f"{endpoint.place} did not answer within {timeout.total_seconds():g} s; whether the request was executed is "
        "unknown. If the server is only slow, give a longer `timeout` to TursoDatabase"
    )
