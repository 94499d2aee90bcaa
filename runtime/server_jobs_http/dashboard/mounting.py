"""The address of the dashboard inside the application of the routes."""

from __future__ import annotations

from importlib.util import find_spec

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..gate import DashboardAccess, OpenBackend, TokensOf
from ..http_options import HttpOptions
from ..places import Places
from ..problem_document import RefusedError

PLACE = "/dashboard"
_NEEDS = "The dashboard needs an extra: pip install 'server-jobs[dashboard]'\n"


class WithDashboard:
    """Answers requests below `/dashboard` with pages, and passes the others on.

    Imports the pages with the first request for them. Without Jinja, the address answers 404 and names the extra.
    Without a token and without `access`, it answers 404 like every route. `follows_changes` as for `application`.
    """

    def __init__(
        self,
        app: ASGIApp,
        open_backend: OpenBackend,
        tokens_of: TokensOf,
        options: HttpOptions,
        places: Places,
        access: DashboardAccess | None = None,
        *,
        follows_changes: bool = True,
    ) -> None:
        self._app = app
        self._open_backend = open_backend
        self._tokens_of = tokens_of
        self._options = options
        self._places = places
        self._access = access
        self._follows_changes = follows_changes
        self._pages: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = _place_in(scope)
        if scope["type"] != "http" or not (place == PLACE or place.startswith(f"{PLACE}/")):
            await self._app(scope, receive, send)
            return
        await self._answer(place, scope)(scope, receive, send)

    def _answer(self, place: str, scope: Scope) -> ASGIApp:
        root: str = scope.get("root_path", "")
        if self._access is None and not self._tokens_of(scope):
            return RefusedError(404, "not found").response()
        if find_spec("jinja2") is None:
            return PlainTextResponse(_NEEDS, 404, {"cache-control": "no-store", "x-content-type-options": "nosniff"})
        if place == PLACE:
            return RedirectResponse(
                f"{root}{PLACE}/", 307 if scope["method"] == "POST" else 308, {"cache-control": "no-store"}
            )
        if self._pages is None:
            from .guard import Settings  # imports Jinja, which is an extra
            from .pages import pages_of

            self._pages = pages_of(
                Settings(
                    self._open_backend,
                    self._tokens_of,
                    self._options,
                    self._places,
                    self._access,
                    self._follows_changes,
                )
            )
        return _Below(self._pages, f"{root}{PLACE}")


class _Below:
    """Calls an application below a path, as a mount does."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": self._root_path}, receive, send)


def _place_in(scope: Scope) -> str:
    """Return the path of a request inside the application."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path
