"""The gate before the routes: checks of token, link, origin and host. Without a configured token, there are no routes.

Pages of an allowed origin get CORS headers, so that browsers let them send requests and read responses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from server_jobs.engine.backend import Backend
from server_jobs.security.tokens import Caller, Tokens
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .body import check_framing, check_length
from .http_options import HttpOptions
from .links import caller_of_link, is_of_link
from .origins import host_in, place_of
from .places import Places
from .problem_document import RefusedError, refusal_of
from .refusal_log import RefusalLog

OpenBackend = Callable[[Scope], AbstractAsyncContextManager[Backend]]
OpenNothing = Callable[[Scope], AbstractAsyncContextManager[None]]
"""For routes that use no backend."""
TokensOf = Callable[[Scope], Tokens]
DashboardAccess = Callable[[Request], Caller | Awaitable[Caller | None] | None]
"""Decides per request for a page: the name and the rights of the caller, or None to refuse."""

_BACKEND = "server_jobs.backend"
_CALLER = "server_jobs.caller"
_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST", "DELETE")
# For responses with data of jobs: no caching, no guessing of types by browsers.
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Gate:
    """Passes requests with a valid token or link on, with a backend. Answers other requests and errors itself."""

    def __init__(
        self,
        app: ASGIApp,
        open_backend: OpenBackend | OpenNothing,
        tokens_of: TokensOf,
        options: HttpOptions,
        places: Places | None = None,
    ) -> None:
        self._app = app
        self._open_backend = open_backend
        self._tokens_of = tokens_of
        self._options = options
        self._places = places or Places(options)
        self._refusals = RefusalLog()
        self._shared = _shared(self._serve, options.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            serve = self._shared if self._is_from_an_allowed_page(scope) else self._serve
            await serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def sent(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        try:
            caller = scope[_CALLER] = self._admit(scope)
            self._places.enter(scope, f"token:{caller.name}", is_link=is_of_link(scope))
            async with self._open_backend(scope) as backend:
                scope[_BACKEND] = backend
                await self._app(scope, receive, sent)
        except Exception as error:  # noqa: BLE001  no part of the error may reach the caller
            refusal = refusal_of(error)
            if not has_started:
                await refusal.response()(scope, receive, sent)
        finally:
            self._places.leave(scope)

    def _is_from_an_allowed_page(self, scope: Scope) -> bool:
        """Whether the request comes from a page of an allowed origin. False without a configured token."""
        origins = Headers(scope=scope).getlist("origin")
        return len(origins) == 1 and origins[0] in self._options.allowed_origins and bool(self._tokens_of(scope))

    def _admit(self, scope: Scope) -> Caller:
        headers = Headers(scope=scope)
        tokens = self._tokens_of(scope)
        if not tokens:
            raise RefusedError(404, "not found")
        if not self._options.needs_length:  # other hosts parsed the request, and refuse a Transfer-Encoding below
            check_framing(headers)
        caller = caller_in(scope, tokens)
        if caller is None:
            self._refusals.note("no valid token", scope)
            raise RefusedError(401, "a valid bearer token is needed", headers={"www-authenticate": "Bearer"})
        if scope["method"] not in _READING:
            check_place(headers, self._options)
        check_length(headers, is_needed=self._options.needs_length)
        return caller


def caller_in(scope: Scope, tokens: Tokens) -> Caller | None:
    """Return the caller of a request with a valid token or link, or None. Raises `RefusedError` for a bad link."""
    given = Headers(scope=scope).getlist("authorization")
    if given:
        return tokens.admit(given[0]) if len(given) == 1 else None
    return caller_of_link(scope, tokens)


def check_place(headers: Headers, options: HttpOptions) -> None:
    """Refuse a write that a foreign page or a foreign host name makes a browser send. Raises `RefusedError`."""
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        raise RefusedError(400, "exactly one Host header is needed")
    if options.allowed_hosts is not None and host_in(hosts[0]) not in {one.lower() for one in options.allowed_hosts}:
        raise RefusedError(421, "this Host is not served here")
    origins = headers.getlist("origin")
    if any(origin not in options.allowed_origins and place_of(origin) != hosts[0].lower() for origin in origins):
        raise RefusedError(403, "this Origin may not write here")
    if not origins and headers.get("sec-fetch-site") == "cross-site":
        raise RefusedError(403, "other sites may not write here")


def _shared(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Return the application with CORS for these origins. Their pages send a token, JSON and a trace, no cookies."""
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware  # most Workers do not need it

    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=("Authorization", "Content-Type", "Traceparent", "Tracestate"),
        expose_headers=("Location", "Retry-After"),
    )


def backend_of(request: Request) -> Backend:
    """Return the backend of a request."""
    backend: Backend = request.scope[_BACKEND]
    return backend


def caller_of(request: Request) -> Caller:
    """Return the caller of a request."""
    caller: Caller = request.scope[_CALLER]
    return caller


def actor_of(request: Request) -> str:
    """Return the name of the caller for the audit log."""
    return f"token:{caller_of(request).name}"
