"""How requests reach a server over HTTP: the little that an adapter asks of whoever can send them."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, cast

from ...errors import DatabaseError, DatabaseUnreachableError
from .url import Endpoint


class UnreachableError(DatabaseUnreachableError):
    """No connection came about: the request was surely not executed."""


class UnansweredError(DatabaseError):
    """The request was sent, and its answer is lost: whether it was executed is unknown."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    text: str


class Transport(Protocol):
    """Sends requests to one place."""

    async def post(self, body: str) -> Reply:
        """Send this, and wait for the answer. Redirects are not followed.

        Raises `UnreachableError`, `UnansweredError`, and `DatabaseError` when the time for it is over.
        """
        ...

    async def close(self) -> None:
        """Give connections back. Harmless when there are none, and another request opens new ones."""
        ...


class _MakeTransport(Protocol):
    def __call__(self, endpoint: Endpoint, timeout: timedelta) -> Transport: ...


def transport_to(endpoint: Endpoint, timeout: timedelta) -> Transport:
    """What this interpreter can send requests with: the `fetch` of a Worker, elsewhere httpx.

    `timeout` bounds each request as a whole. Raises `DatabaseError` where the extra `turso` is not installed.
    """
    name, kind = ("fetch", "FetchTransport") if sys.platform == "emscripten" else ("httpx", "HttpxTransport")
    try:
        module = importlib.import_module(f"{__package__}.{name}_transport")
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"for Turso the module {error.name!r} is missing; run pip install 'server-jobs[turso]'"
        ) from error
    return cast("_MakeTransport", getattr(module, kind))(endpoint, timeout)


def headers_for(endpoint: Endpoint) -> dict[str, str]:
    """The headers of each request."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "server-jobs"}
    return headers if endpoint.token is None else headers | {"Authorization": f"Bearer {endpoint.token}"}


def timed_out(endpoint: Endpoint, timeout: timedelta) -> DatabaseError:
    """The error for a request whose time is over."""
    return DatabaseError(
        f"{endpoint.place} did not answer within {timeout.total_seconds():g} s; whether the request was executed is "
        "unknown. If the server is only slow, give a longer `timeout` to TursoDatabase"
    )
