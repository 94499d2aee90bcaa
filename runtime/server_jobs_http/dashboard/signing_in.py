"""Signing in with a token, and signing out."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..problem_document import RefusedError, refusal_of
from ..refusal_log import RefusalLog
from .guard import Settings, read_form
from .rendering import HEADERS, error_page, show_outside
from .sessions import cookie_of, end_session, forget_cookie, is_plain_localhost, session_cookie, set_cookie
from .visit import Visit

# Everybody may send this form, so it costs little: a token has 43 characters.
_LARGEST_FORM = 4096
_TIME_FOR_FORM = timedelta(seconds=3)


class SignIn:
    """The page to sign in. A valid token becomes a cookie; the token itself is stored nowhere."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._refusals = RefusalLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response: ASGIApp
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001  no part of the error may reach the caller
            response = error_page(request, refusal_of(error))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if self._settings.access is not None:
            raise RefusedError(404, "sign in to the application; this dashboard takes no token")
        return await self._sign_in(request) if request.method == "POST" else _form(request)

    async def _sign_in(self, request: Request) -> Response:
        form = await read_form(request, self._settings.options, most=_LARGEST_FORM, within=_TIME_FOR_FORM)
        tokens = self._settings.tokens_of(request.scope)
        found = tokens.find(form.get("token", ("",))[-1].strip())
        if found is None:
            self._refusals.note("no valid token", request.scope)
            return _form(request, "This token is not valid. Check that you copied all of it.", 401)
        response = RedirectResponse(f"{request.scope['root_path']}{_next(request)}", 303, HEADERS)
        set_cookie(response, request, cookie_of(found, tokens))
        return response


async def sign_out(visit: Visit) -> Response:
    """End the session in this process, and delete the cookie of the browser."""
    response = visit.go("sign-in")
    if visit.has_cookie:
        end_session(session_cookie(visit.request))
    forget_cookie(response, visit.request)
    return response


def _form(request: Request, problem: str = "", status: int = 200) -> Response:
    needs_tls = request.url.scheme == "http" and not is_plain_localhost(request)
    return show_outside(
        request, "sign_in.html", status=status, problem=problem, next=_next(request), needs_tls=needs_tls
    )


def _next(request: Request) -> str:
    """Return the path of the page to show after signing in. It is always one of this dashboard."""
    given = request.query_params.get("next", "/")
    is_inside = given.startswith("/") and not given.startswith(("//", "/\\")) and given.isprintable()
    return given if is_inside and ".." not in given and given.isascii() else "/"
