"""Cookies of signed-in callers, and CSRF tokens of forms.

A cookie has the name of a token, the time at which it ends, and a signature. A cookie ends when its token is removed
from the configuration, because its signature needs the hash of the token. The server stores no sessions, except those
that somebody ended by signing out, in the memory of this process.
"""

from __future__ import annotations

import hmac
import secrets
import time
from datetime import timedelta

from server_jobs.security.tokens import Caller, NamedToken, Tokens
from starlette.requests import Request
from starlette.responses import Response

from ..origins import host_in

COOKIE = "server_jobs_dashboard"
SESSION_LENGTH = timedelta(hours=12)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PARTS = 4
_MOST_ENDED = 10_000
_ended: dict[str, int] = {}
"""The signatures of ended sessions with the times at which they would have ended."""


def cookie_of(token: NamedToken, tokens: Tokens) -> str:
    """Return the value of a new cookie for the caller with this token. It reveals nothing of the token."""
    ends = int(time.time() + SESSION_LENGTH.total_seconds())
    text = f"{token.caller.name}:{ends}:{secrets.token_urlsafe(16)}"
    return f"{text}:{_signature(text, token, tokens)}"


def caller_of_cookie(cookie: str, tokens: Tokens) -> Caller | None:
    """Return the caller of a valid cookie, or None."""
    parts = cookie.split(":")
    if len(parts) != _PARTS or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) <= _MOST_DIGITS):
        return None
    name, ends, text = parts[0], int(parts[1]), ":".join(parts[:3])
    for token in tokens:
        is_signed = hmac.compare_digest(_signature(text, token, tokens).encode(), parts[3].encode("utf-8", "replace"))
        if is_signed and token.caller.name == name and time.time() < ends and parts[3] not in _ended:
            return token.caller
    return None


def end_session(cookie: str) -> None:
    """Accept this valid cookie no longer in this process."""
    _, ends, _, signature = cookie.split(":")
    for other in [one for one, end in _ended.items() if end <= time.time()]:
        del _ended[other]
    if len(_ended) >= _MOST_ENDED:
        del _ended[next(iter(_ended))]
    _ended[signature] = int(ends)


def session_cookie(request: Request) -> str:
    """Return the value of the cookie that a request sends, or an empty text.

    Does not use the parser of `http.cookies`, which takes seconds for some headers of 32 kB.
    """
    for text in ";".join(request.headers.getlist("cookie")).split(";"):
        name, _, value = text.partition("=")
        if name.strip() == COOKIE:
            return value.strip()
    return ""


def set_cookie(response: Response, request: Request, cookie: str) -> None:
    """Send a cookie that scripts cannot read, that other sites do not send, and that needs TLS except on localhost."""
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(SESSION_LENGTH.total_seconds()),
        path=request.scope["root_path"],
        secure=not is_plain_localhost(request),
        httponly=True,
        samesite="strict",
    )


def forget_cookie(response: Response, request: Request) -> None:
    """Delete the cookie from the browser."""
    response.delete_cookie(
        COOKIE,
        path=request.scope["root_path"],
        secure=not is_plain_localhost(request),
        httponly=True,
        samesite="strict",
    )


def is_plain_localhost(request: Request) -> bool:
    """Whether the request came without TLS to this machine, where browsers may keep a cookie without `Secure`."""
    return request.url.scheme == "http" and host_in(request.headers.get("host", "")) in _LOOPBACK


def csrf_token(subject: str, tokens: Tokens) -> str:
    """Return the token of the forms of one session: `subject` is its cookie, or the name of the caller."""
    return hmac.new(tokens.signing_key, f"csrf:{subject}".encode("utf-8", "replace"), "sha256").hexdigest()


def is_csrf_token(given: str, subject: str, tokens: Tokens) -> bool:
    """Return whether a form has the token of this session."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), csrf_token(subject, tokens).encode())


def _signature(text: str, token: NamedToken, tokens: Tokens) -> str:
    key = hmac.digest(tokens.signing_key, b"session:" + token.digest, "sha256")
    return hmac.new(key, text.encode("utf-8", "replace"), "sha256").hexdigest()


_MOST_DIGITS = 12
