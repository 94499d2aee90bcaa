"""The body of a request: how long it may be, told by its headers before anything of it is read, and while it is."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request

from ..values import MAX_DOCUMENT_BYTES
from .problem import RefusedError

LARGEST_BODY = MAX_DOCUMENT_BYTES + 64 * 1024  # the params, and what is around them
_MOST_DIGITS = 20


class SomeHeaders(Protocol):
    """The headers of a request, by names in any case."""

    def get(self, name: str, /) -> str | None: ...


def check_length(headers: SomeHeaders, *, is_needed: bool = False) -> None:
    """Refuse a body that is too long by its `Content-Length`, and with `is_needed` one that comes without it."""
    if is_needed and headers.get("transfer-encoding") is not None:  # which makes any Content-Length void
        raise RefusedError(411, "the body needs a Content-Length")
    length = headers.get("content-length") or "0"
    if not (length.isascii() and length.isdigit()):
        raise RefusedError(400, "the Content-Length is not a number")
    if len(length) > _MOST_DIGITS or int(length) > LARGEST_BODY:
        raise _too_long()


async def json_body(request: Request) -> bytes:
    """All of it, as it came: no more is read than may be."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "the body must be JSON: Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusedError(415, "the body must be sent as it is, without a Content-Encoding")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise _too_long()
    return bytes(body)


def _too_long() -> RefusedError:
    return RefusedError(413, f"the body has more than {LARGEST_BODY:,} bytes")
