"""The list of pages, and the files of style and script."""

from __future__ import annotations

from functools import cache

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..problem_document import RefusedError, refusal_of
from .contracts import contracts
from .editing import choose, enqueue, new, repair, repair_form
from .guard import Guarded, Settings
from .job import job
from .job_actions import ask, change, change_several
from .job_list import job_list
from .operations import change_queue, change_schedule, queues, schedules, workers
from .overview import failures, overview
from .rendering import FOLDER, HEADERS, error_page
from .signing_in import SignIn, sign_out
from .visit import Page

_TYPES = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}

PAGES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "/", overview),
    ("GET", "/jobs", job_list),
    ("POST", "/jobs", change_several),
    ("GET", "/jobs/{id}", job),
    ("GET", "/jobs/{id}/repair", repair_form),
    ("POST", "/jobs/{id}/repair", repair),
    ("GET", "/jobs/{id}/{action}", ask),
    ("POST", "/jobs/{id}/{action}", change),
    ("GET", "/failures", failures),
    ("GET", "/queues", queues),
    ("POST", "/queues", change_queue),
    ("GET", "/schedules", schedules),
    ("POST", "/schedules", change_schedule),
    ("GET", "/workers", workers),
    ("GET", "/contracts", contracts),
    ("GET", "/enqueue", choose),
    ("GET", "/enqueue/{name}", new),
    ("POST", "/enqueue/{name}", enqueue),
    ("POST", "/sign-out", sign_out),
)


class _ErrorPages:
    """Answers an unknown address, and an unknown method, with a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except HTTPException as error:
            await error_page(Request(scope), refusal_of(error))(scope, receive, send)


def routes_of(settings: Settings) -> list[BaseRoute]:
    """Return every route of the dashboard."""
    return [
        Route("/static/{name}", _static, methods=["GET"]),
        Route("/sign-in", SignIn(settings), methods=["GET", "POST"]),
        *(Route(path, Guarded(page, settings), methods=[method]) for method, path, page in PAGES),
    ]


def pages_of(settings: Settings) -> ASGIApp:
    """Return the ASGI application with all pages of the dashboard."""
    return _ErrorPages(Router(routes_of(settings), redirect_slashes=False))


async def _static(request: Request) -> Response:
    name: str = request.path_params["name"]
    if name not in _TYPES:
        return error_page(request, RefusedError(404, "not found"))
    # A day: the address has the version, so a new release is read anew.
    headers = {**HEADERS, "cache-control": "public, max-age=86400"}
    return Response(_content(name), 200, headers, _TYPES[name])


@cache
def _content(name: str) -> bytes:
    return (FOLDER / "static" / name).read_bytes()
