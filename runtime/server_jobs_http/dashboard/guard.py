"""The checks before a page: caller, origin, host, and the CSRF token of each form. Errors become pages.

With `Accept: text/event-stream`, an open page gets its content again at each change, after the same checks each time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from inspect import isawaitable
from urllib.parse import parse_qs, urlencode

from server_jobs.security.tokens import Caller, Tokens
from server_jobs.security.tokens import Scope as TokenScope
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from ..body import LARGEST_BODY, body_of, check_framing, check_length
from ..event_stream import MEDIA_TYPE, Event, EventStream, changes
from ..gate import DashboardAccess, OpenBackend, TokensOf, check_place
from ..http_options import HttpOptions
from ..places import Places, become_stream
from ..problem_document import RefusedError, refusal_of
from .rendering import error_page
from .sessions import caller_of_cookie, csrf_token, is_csrf_token, session_cookie
from .visit import NO_STORE, Form, Page, Recent, Visit

CSRF_FIELD = "csrf"
_PAUSE = 2.0
_CONTENT = re.compile(r"<main.*</main>", re.DOTALL)
_CLOCK = re.compile(r' data-now="[^"]*"|(?<=>)[^<]*(?=</time>)')
"""The parts of a page that change with the time alone. The script writes relative times itself."""

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 2000
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `create_app` that pages need."""

    open_backend: OpenBackend
    tokens_of: TokensOf
    options: HttpOptions
    places: Places
    access: DashboardAccess | None
    follows_changes: bool
    recent: Recent = field(default_factory=Recent)


class Guarded:
    """A page as an ASGI application: admit the caller, check and read a form, then answer."""

    def __init__(self, page: Page, settings: Settings) -> None:
        self._page = page
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer_or_error(request)
            if self._settings.follows_changes and _is_live(request) and response.status_code == HTTPStatus.OK:
                response = self._updates_or_error(request, response)
            await response(scope, receive, send)
        finally:
            self._settings.places.leave(scope)

    def _updates_or_error(self, request: Request, first: Response) -> Response:
        try:
            become_stream(request.scope)
        except RefusedError as refusal:
            return error_page(request, refusal)
        return self._updates(request, first)

    def _updates(self, request: Request, first: Response) -> Response:
        """Return the stream of this page. It ends if the page is refused, so that the browser asks for the reason."""
        pages = [first]

        async def read() -> Event | None:
            page = pages.pop() if pages else await self._answer_or_error(request)
            found = _CONTENT.search(bytes(page.body).decode())
            if page.status_code != HTTPStatus.OK or found is None:
                return None
            return Event("page", json.dumps(found[0]), key=_CLOCK.sub("", found[0]))

        stream = EventStream(changes(request, self._settings.options, read, pause=_PAUSE))
        stream.headers["cache-control"] = "no-store"
        return stream

    async def _answer_or_error(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001  no part of the error may reach the caller
            return error_page(request, refusal_of(error))

    async def _answer(self, request: Request) -> Response:
        found = await self._admit(request)
        if isinstance(found, Response):
            return found
        caller, subject, tokens = found
        is_token = self._settings.access is None
        actor = f"{'token' if is_token else 'user'}:{caller.name}"
        self._settings.places.enter(request.scope, actor)
        if TokenScope.READ not in caller.rights:
            raise RefusedError(403, "your token lacks the scope read, so it opens no page")
        form = await self._form(request, subject, tokens)
        async with self._settings.open_backend(request.scope) as backend:
            visit = Visit(
                request=request,
                backend=backend,
                caller=caller,
                actor=actor,
                csrf=csrf_token(subject, tokens),
                has_cookie=is_token,
                follows_changes=self._settings.follows_changes,
                databases=self._settings.options.databases,
                recent=self._settings.recent,
                form=form,
            )
            try:
                return await self._page(visit)
            except Exception as error:  # noqa: BLE001  as above, with the menu of the caller
                return error_page(request, refusal_of(error), visit)
            finally:
                if form:
                    self._settings.recent.forget()

    async def _admit(self, request: Request) -> tuple[Caller, str, Tokens] | Response:
        """Return the caller, the subject of its CSRF token and the tokens, or the way to the page to sign in."""
        tokens = self._settings.tokens_of(request.scope)
        if self._settings.access is not None:
            decided = self._settings.access(request)
            caller = await decided if isawaitable(decided) else decided
            if caller is None:
                raise RefusedError(403, "you may not see this dashboard; sign in to the application first")
            return caller, f"user:{caller.name}", tokens
        cookie = session_cookie(request)
        caller = caller_of_cookie(cookie, tokens)
        if caller is not None:
            return caller, cookie, tokens
        if _is_live(request) or request.method not in _READING:
            raise RefusedError(401, "you are signed out; sign in again")
        return RedirectResponse(sign_in_address(request), 303, NO_STORE)

    async def _form(self, request: Request, subject: str, tokens: Tokens) -> Form:
        if request.method in _READING:
            return {}
        form = await read_form(request, self._settings.options)
        if not is_csrf_token(form.get(CSRF_FIELD, ("",))[-1], subject, tokens):
            raise RefusedError(403, "this form is out of date; go back, load the page again, and send it once more")
        return form


def _is_live(request: Request) -> bool:
    return request.method == "GET" and MEDIA_TYPE in request.headers.get("accept", "")


async def read_form(
    request: Request, options: HttpOptions, *, most: int = LARGEST_BODY, within: timedelta | None = None
) -> Form:
    """Return the fields of a form of this site, of at most `most` bytes that come `within` this time.

    Raises `RefusedError` for other sites, hosts, types and lengths.
    """
    check_place(request.headers, options)
    if not options.needs_length:
        check_framing(request.headers)
    check_length(request.headers, is_needed=options.needs_length, most=most)
    body = await body_of(request, _FORM, within=within or options.body_timeout, most=most)
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise RefusedError(400, "the form cannot be read") from None


def sign_in_address(request: Request) -> str:
    """Return the address of the page to sign in, which leads back to this request."""
    root: str = request.scope["root_path"]
    place = request.scope["path"].removeprefix(root)
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{root}/sign-in?{urlencode({'next': f'{place}{query}'})}"
