"""The ASGI application: routes behind a gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from server_jobs.engine.backend import Backend
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Tokens
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Scope

from .dashboard.mounting import WithDashboard
from .dashboard.sessions import caller_of_cookie, session_cookie
from .gate import DashboardAccess, Gate, OpenBackend, TokensOf, caller_in
from .http_options import HttpOptions
from .places import Places
from .problem_document import RefusedError, http_exception
from .routes.enqueuing import Enqueued
from .routes.table import ROUTES
from .stopping import Stopping, StoppingOnSignals

PREFIX = "/_jobs"


def create_app(
    backend: Backend,
    tokens: Tokens | None = None,
    *,
    options: HttpOptions | None = None,
    stopping: Stopping | None = None,
    dashboard_access: DashboardAccess | None = None,
) -> Starlette:
    """Return the application with the routes and the dashboard, for mounting.

    The default for `tokens` are the tokens of the environment. Without a token, every request gets 404. The first
    admitted request opens the backend; the application does not close it. When the server gets SIGTERM or SIGINT, a
    running trigger releases its jobs, and streams end. A server may announce its end through `stopping` instead.

    People sign in to the dashboard, at `/dashboard/`, with a token. With `dashboard_access` they do not: it gets each
    request for a page, and returns the name and the rights of the caller, or None to refuse. It may be async.

        backend = Backend(database="sqlite:///server-jobs.sqlite3", job_registry=registry)
        app = FastAPI()
        app.mount("/_jobs", create_app(backend))
    """
    known = Tokens.from_environment() if tokens is None else tokens
    chosen, open_backend = options or HttpOptions(), partial(_opened, backend)
    stopping = stopping or StoppingOnSignals()
    return application(open_backend, lambda _scope: known, chosen, stopping=stopping, dashboard_access=dashboard_access)


def application(
    open_backend: OpenBackend,
    tokens_of: TokensOf,
    options: HttpOptions,
    enqueued: Enqueued | None = None,
    stopping: Stopping | None = None,
    dashboard_access: DashboardAccess | None = None,
    follows_changes: bool = True,
    further_routes: Sequence[Route] = (),
) -> Starlette:
    """Like `create_app`, for hosts that provide backend and tokens per request, and a callback for stored jobs.

    `further_routes` are the host's own routes behind the same gate.

    Without `follows_changes`, open pages of the dashboard do not update themselves: the stream would read the database
    every two seconds, on the queries of one invocation.
    """
    places = Places(options)
    dashboard = with_dashboard(
        open_backend, tokens_of, options, places, access=dashboard_access, follows_changes=follows_changes
    )
    gate = Middleware(Gate, open_backend=open_backend, tokens_of=tokens_of, options=options, places=places)
    routes = [*ROUTES, *further_routes]
    app = Starlette(routes=routes, middleware=[dashboard, gate], exception_handlers={HTTPException: http_exception})
    app.router.redirect_slashes = False
    app.state.options = options
    app.state.enqueued = enqueued or _ignore
    app.state.stopping = stopping or Stopping()
    app.state.openapi_document = _openapi_document
    return app


def with_dashboard(
    open_backend: OpenBackend,
    tokens_of: TokensOf,
    options: HttpOptions,
    places: Places,
    *,
    access: DashboardAccess | None = None,
    follows_changes: bool = True,
) -> Middleware:
    """Return the middleware that answers requests below `/dashboard`. The arguments are as for `application`."""
    return Middleware(
        WithDashboard,
        open_backend=open_backend,
        tokens_of=tokens_of,
        options=options,
        places=places,
        access=access,
        follows_changes=follows_changes,
    )


def names_a_caller(scope: Scope, tokens: Tokens) -> bool:
    """Return whether a request has a valid token, signed link, or cookie of the dashboard. Reads no body."""
    try:
        caller = caller_in(scope, tokens)
    except RefusedError:
        return False
    request = Request(scope)
    if caller is None and "authorization" not in request.headers:
        caller = caller_of_cookie(session_cookie(request), tokens)
    return caller is not None


def under_prefix(app: ASGIApp, prefix: str = PREFIX) -> Starlette:
    """Return an application with the routes at `/_jobs`, or at another prefix, and nothing else."""
    return under_prefixes({prefix: app})


def under_prefixes(apps: Mapping[str, ASGIApp]) -> Starlette:
    """Return an application with the routes of each application at its prefix, and nothing else."""
    outer = Starlette(
        routes=[Mount(prefix, app) for prefix, app in apps.items()], exception_handlers={HTTPException: http_exception}
    )
    outer.router.redirect_slashes = False  # a redirect would reveal the routes
    return outer


@asynccontextmanager
async def _opened(backend: Backend, _scope: Scope) -> AsyncIterator[Backend]:
    await backend.initialize()
    yield backend


def _ignore(_request: Request) -> None:
    """Do nothing: workers notice stored jobs."""


def _openapi_document(registry: JobRegistry, *, server: str) -> object:
    from .openapi import document  # seldom requested, and a Worker should start fast

    return document(registry, server=server)
