"""Request bodies: limits of their length, by headers and while reading, and of their time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol

from server_jobs.contract.values import MAX_DOCUMENT_BYTES
from starlette.requests import Request

from .problem_document import RefusedError

LARGEST_BODY = MAX_DOCUMENT_BYTES + 64 * 1024  # the params and the members around them
_MOST_DIGITS = 20
_CLOSE = {"connection": "close"}


class SomeHeaders(Protocol):
    """The headers of a request, by names in any case."""

    def get(self, name: str, /) -> str | None: ...


def check_framing(headers: SomeHeaders) -> None:
    """Refuse a request with two lengths, which two servers may read differently."""
    if headers.get("content-length") is not None and headers.get("transfer-encoding") is not None:
        raise RefusedError(
            400, "a request has either a Content-Length or a Transfer-Encoding, not both", headers=_CLOSE
        )


def check_length(headers: SomeHeaders, *, is_needed: bool = False, most: int = LARGEST_BODY) -> None:
    """Refuse a body with a `Content-Length` above `most` bytes and, with `is_needed`, without one."""
    if is_needed and headers.get("transfer-encoding") is not None:
        raise RefusedError(411, "the body needs a Content-Length")
    length = headers.get("content-length") or "0"
    if not (length.isascii() and length.isdigit()):
        raise RefusedError(400, "the Content-Length is not a number")
    if len(length) > _MOST_DIGITS or int(length) > most:
        raise _too_long(most)


async def json_body(request: Request, *, within: timedelta) -> bytes:
    """Return the body unchanged. Raises `RefusedError` if it is too long, or takes longer than `within`."""
    return await body_of(request, "application/json", within=within)


async def body_of(request: Request, expected: str, *, within: timedelta, most: int = LARGEST_BODY) -> bytes:
    """Return a body of this media type, of at most `most` bytes. Raises `RefusedError` as `json_body` does."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != expected:
        name = "JSON" if expected == "application/json" else "a form"
        raise RefusedError(415, f"the body must be {name}: Content-Type: {expected}")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusedError(415, "the body must be sent as it is, without a Content-Encoding")
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await _read(request, most)
    except TimeoutError:
        raise RefusedError(
            408, f"the body took longer than {within.total_seconds():g} seconds", headers=_CLOSE
        ) from None


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_long(most)
    return bytes(body)


def _too_long(most: int) -> RefusedError:
    return RefusedError(413, f"the body has more than {most:,} bytes")
