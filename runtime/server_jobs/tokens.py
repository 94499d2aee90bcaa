"""Bearer tokens: who may use the routes."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256

from .errors import InvalidOptionError
from .variables import PREVIOUS_TOKEN_VARIABLE, TOKEN_VARIABLE

SHORTEST_TOKEN = 43  # what 32 bytes take in base64url, the shortest of the usual ways to write them
_FEWEST_DIFFERENT = 10
_MOST_TOKENS = 2


class Tokens:
    """The tokens that open the routes: none, so that there are no routes; one; or two, while one replaces the other.

    Each must be 32 random bytes or more as text, such as `new_token` makes. Raises `InvalidOptionError` for one that
    cannot be that, never showing it. Only hashes are kept.
    """

    def __init__(self, *tokens: str) -> None:
        if len(tokens) > _MOST_TOKENS:
            raise InvalidOptionError(f"at most {_MOST_TOKENS} tokens are valid at a time, not {len(tokens)}")
        for number, token in enumerate(tokens, 1):
            _check(token, number)
        self._digests = tuple(_digest(token) for token in tokens)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Tokens:
        """Those of the variables `JOBS_TOKEN` and `JOBS_TOKEN_PREVIOUS`, as far as they are set and not empty."""
        given = os.environ if environment is None else environment
        return cls(*(token for name in (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE) if (token := given.get(name))))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, authorization: str | None) -> bool:
        """Whether that is a header `Authorization` with one of the tokens. How long it takes says nothing of them."""
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip(" "))
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)


def new_token() -> str:
    """A token of 32 random bytes, in the characters that need no quoting anywhere."""
    return secrets.token_urlsafe(32)


def _check(token: str, number: int) -> None:
    if len(token) < SHORTEST_TOKEN:
        raise InvalidOptionError(
            f"token {number} has {len(token)} characters; it must be 32 random bytes or more, which take "
            f"{SHORTEST_TOKEN}: `server-jobs token` makes one"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidOptionError(
            f"token {number} has characters that no header may hold, or spaces: `server-jobs token` makes one"
        )
    if len(set(token)) < _FEWEST_DIFFERENT:
        raise InvalidOptionError(f"token {number} is not random: `server-jobs token` makes one")


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
