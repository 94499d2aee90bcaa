"""The routes of a Worker. Their tokens and settings come from the environment of each request."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, MutableMapping
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from server_jobs.errors import InvalidOptionError
from server_jobs.security.variables import (
    NAMED_TOKENS_VARIABLE,
    PREVIOUS_TOKEN_VARIABLE,
    SESSION_SECRET_VARIABLE,
    TOKEN_VARIABLE,
)

from .bindings import text_in
from .limits import TICK_BUDGET

if TYPE_CHECKING:
    from server_jobs.security.tokens import Tokens
    from server_jobs_http.gate import TokensOf
    from server_jobs_http.http_options import HttpOptions
    from starlette.applications import Starlette

HOSTS_VARIABLE = "JOBS_ALLOWED_HOSTS"
ORIGINS_VARIABLE = "JOBS_ALLOWED_ORIGINS"

_logger = logging.getLogger("server_jobs")


class RequestHeaders(Protocol):
    """The headers of a request."""

    def get(self, name: str, /) -> str | None: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


class WorkerRequest(Protocol):
    """The used part of a `workers.Request`."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> RequestHeaders: ...


class WorkerRoutes:
    """Answers requests through an application that `make` returns for the settings of a Worker."""

    def __init__(self, make: Callable[[HttpOptions, TokensOf], Starlette], budget: timedelta) -> None:
        self._make = make
        self._budget = budget
        self._applications = cache(self._application)

    async def fetch(self, request: WorkerRequest, env: object, ctx: object) -> object:
        """Answer one request with a JavaScript `Response`. Every request gets 404 unless `JOBS_TOKEN` is set."""
        asgi = importlib.import_module("asgi")  # part of the Workers SDK
        app = self._applications(_listed_in(env, HOSTS_VARIABLE), _listed_in(env, ORIGINS_VARIABLE))
        return await asgi.fetch(app, _bounded(request), env, ctx)

    @property
    def app(self) -> Starlette:
        """The application without variables for hosts and origins."""
        return self._applications((), ())

    def _application(self, hosts: tuple[str, ...], origins: tuple[str, ...]) -> Starlette:
        from server_jobs_http.http_options import UNLIMITED, HttpOptions  # an extra that a cron trigger does not need

        try:
            options = HttpOptions(
                allowed_hosts=hosts or None,
                allowed_origins=origins,
                trigger_budget=self._budget,
                longest_stream=TICK_BUDGET,
                needs_length=True,
                # Cloudflare limits requests, and ends some without running any code of theirs, so counts would grow.
                most_requests_per_caller=UNLIMITED,
                most_streams_per_caller=UNLIMITED,
                most_streams_per_link=UNLIMITED,
                most_streams=UNLIMITED,
                most_searches_per_caller=UNLIMITED,
                most_searches=UNLIMITED,
            )
        except InvalidOptionError as error:
            return self._make(HttpOptions(), partial(_no_tokens, error))
        return self._make(options, tokens_in)


def _listed_in(env: object, variable: str) -> tuple[str, ...]:
    return tuple(text for part in (text_in(env, variable) or "").split(",") if (text := part.strip()))


def _bounded(request: WorkerRequest) -> WorkerRequest:
    """Return the request, without a body that the routes refuse. The Workers SDK would read all of it first."""
    from server_jobs_http.body import check_length
    from server_jobs_http.problem_document import RefusedError

    try:
        check_length(request.headers, is_needed=True)
    except RefusedError:
        make = importlib.import_module("workers").Request
        bodiless: WorkerRequest = make(request.url, method=request.method, headers=list(request.headers.items()))
        return bodiless
    return request


def tokens_in(scope: MutableMapping[str, Any]) -> Tokens:
    """Return the tokens of the Worker's secrets. Without valid ones, return none and log the reason."""
    from server_jobs.security.tokens import Tokens

    names = (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE, NAMED_TOKENS_VARIABLE, SESSION_SECRET_VARIABLE)
    try:
        return Tokens.from_environment({name: text for name in names if (text := text_in(scope["env"], name))})
    except InvalidOptionError as error:
        return _no_tokens(error, scope)


def _no_tokens(reason: InvalidOptionError, _scope: MutableMapping[str, Any]) -> Tokens:
    from server_jobs.security.tokens import Tokens

    _logger.error("no route is open: %s", reason)
    return Tokens()
