"""Signed links to the events of one job or batch, for browsers: `EventSource` cannot send a bearer token."""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Literal
from urllib.parse import quote, urlencode

from ..errors import InvalidOptionError
from .tokens import Tokens
from .variables import TOKEN_VARIABLE

SHORTEST_EXPIRY = timedelta(seconds=1)
LONGEST_EXPIRY = timedelta(days=1)
_MOST_DIGITS = 12

Followed = Literal["jobs", "batches"]
"""The kind of a link, as in its path."""
# Two purposes, because a batch and its completion job have the same id.
_PURPOSES: dict[Followed, str] = {"jobs": "events", "batches": "events of a batch"}


def events_link(kind: Followed, followed_id: str, base: str, expires: timedelta, tokens: Tokens | None) -> str:
    """Return the link that `events_link` of a handle or batch describes. Raises `InvalidOptionError`."""
    if not SHORTEST_EXPIRY <= expires <= LONGEST_EXPIRY:
        raise InvalidOptionError(f"expires must be between 1 second and 1 day, got {expires}")
    keys = (Tokens.from_environment() if tokens is None else tokens).link_keys
    if not keys:
        raise InvalidOptionError(
            f"a link is signed with {TOKEN_VARIABLE}, which is not set here; set it to the token of the server of the "
            "routes, as `server-jobs token` prints one"
        )
    end = str(int(time.time() + expires.total_seconds()))
    query = urlencode({"expires": end, "signature": _signature(keys[0], kind, followed_id, end)})
    return f"{base.rstrip('/')}/{kind}/{quote(followed_id, safe='')}/events?{query}"


def end_of_link(tokens: Tokens, kind: Followed, followed_id: str, expires: str, signature: str) -> int | None:
    """Return the Unix time at which a signed link ends, which may be past; None if the signature is wrong.

    Takes the same time for every signature.
    """
    given = signature.encode("utf-8", "replace")
    expected = [_signature(key, kind, followed_id, expires).encode() for key in tokens.link_keys]
    matches = [hmac.compare_digest(one, given) for one in expected]
    is_number = expires.isascii() and expires.isdigit() and len(expires) <= _MOST_DIGITS
    return int(expires) if any(matches) and is_number else None


def seconds_until(end: int) -> float:
    """Return the seconds until the end of a link. Zero or less: it has expired."""
    return end - time.time()


def _signature(key: bytes, kind: Followed, followed_id: str, expires: str) -> str:
    text = f"{_PURPOSES[kind]}\n{expires}\n{followed_id}".encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(hmac.digest(key, text, "sha256")).decode().rstrip("=")
