"""Bearer tokens of the HTTP routes, with scopes."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

from ..domain.text_limits import LONGEST_NAME, check_text
from ..errors import InvalidOptionError
from .variables import NAMED_TOKENS_VARIABLE, PREVIOUS_TOKEN_VARIABLE, SESSION_SECRET_VARIABLE, TOKEN_VARIABLE

SHORTEST_TOKEN = 43  # 32 bytes in base64url
MOST_NAMED_TOKENS = 100
_FEWEST_DIFFERENT = 10
_MOST_TOKENS = 2
_MOST_OF_ONE_NAME = 2  # an old and a new token during a rotation
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


class Scope(StrEnum):
    """A right of a token. No scope includes another scope."""

    READ = "read"
    """List, show and watch jobs; read status and metrics."""
    ENQUEUE = "enqueue"
    """Enqueue jobs."""
    ADMIN = "admin"
    """Cancel, retry and delete jobs; trigger a tick."""


_SCOPES = ", ".join(Scope)

Rights = Mapping[Scope, frozenset[str] | None]
"""Scopes with their queues; None: every queue."""

ALL_RIGHTS: Rights = dict.fromkeys(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: the name and the rights of its token."""

    name: str
    rights: Rights

    def may(self, scope: Scope, queue: str | None = None) -> bool:
        """Return whether the token has the scope for this queue; None: for every queue."""
        if scope not in self.rights:
            return False
        queues = self.rights[scope]
        return queues is None or (queue is not None and queue in queues)


@dataclass(frozen=True, slots=True)
class NamedToken:
    """A configured token with scopes. It has the hash of the token only."""

    caller: Caller
    digest: bytes

    @classmethod
    def of(cls, name: str, rights: Rights, token: str) -> NamedToken:
        """Return the configuration of a new token. Raises `InvalidOptionError` for an invalid name."""
        _check_name(name, "the name")
        if not rights:
            raise InvalidOptionError(f"the token {name!r} has no scope; give one of {_SCOPES}")
        return cls(Caller(name, rights), _digest(token))

    @property
    def line(self) -> str:
        """The line of `JOBS_TOKENS`: `shop enqueue:mail,reports read sha256:…`."""
        scopes = (_written(scope, queues) for scope, queues in self.caller.rights.items())
        return f"{self.caller.name} {' '.join(scopes)} sha256:{self.digest.hex()}"


class Tokens:
    """The tokens of the routes, as hashes. Without a token, there are no routes.

    `tokens` have every scope for every queue: one token, or two during a rotation. Each is a text of at least 32 random
    bytes, such as `new_token` returns; otherwise `InvalidOptionError` is raised, without the token. `named` tokens have
    scopes. `session_secret` signs the sessions of people; see `signing_key`.

        token = new_token()
        shop = NamedToken.of("shop", {Scope.ENQUEUE: frozenset({"mail"})}, token)
        app = create_app(backend, Tokens(named=[shop]))
        print(shop.line)  # for `JOBS_TOKENS`
    """

    def __init__(self, *tokens: str, named: Iterable[NamedToken] = (), session_secret: str | None = None) -> None:
        if len(tokens) > _MOST_TOKENS:
            raise InvalidOptionError(f"at most {_MOST_TOKENS} tokens are valid at a time, not {len(tokens)}")
        for number, token in enumerate(tokens, 1):
            _check(token, number)
        names = (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE)
        self._tokens = (
            *(NamedToken(Caller(name, ALL_RIGHTS), _digest(token)) for name, token in zip(names, tokens, strict=False)),
            *named,
        )
        if session_secret is not None and len(session_secret) < SHORTEST_TOKEN:
            raise InvalidOptionError(
                f"{SESSION_SECRET_VARIABLE} must have {SHORTEST_TOKEN} characters or more, and has "
                f"{len(session_secret)}: `server-jobs token` makes one"
            )
        secret = session_secret or (tokens[0] if tokens else None)
        self._secret = None if secret is None else _digest(secret)
        self.link_keys = tuple(hmac.digest(_digest(token), b"server-jobs links", "sha256") for token in tokens)
        """The keys of signed links, one per token of `tokens`. The first one signs, and all of them verify."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Tokens:
        """Read `JOBS_TOKEN`, `JOBS_TOKEN_PREVIOUS`, `JOBS_TOKENS` and `JOBS_SESSION_SECRET`; each may be unset."""
        given = os.environ if environment is None else environment
        named = named_tokens(given.get(NAMED_TOKENS_VARIABLE) or "")
        tokens = (token for name in (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE) if (token := given.get(name)))
        return cls(*tokens, named=named, session_secret=given.get(SESSION_SECRET_VARIABLE) or None)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def __iter__(self) -> Iterator[NamedToken]:
        return iter(self._tokens)

    @property
    def signing_key(self) -> bytes:
        """A key for sessions of people who sign in. No hash in `JOBS_TOKENS` and no secret of enqueuers reveals it.

        It is made from the secret of sessions, or else from the first token of `tokens`, which has every right. Without
        both it is random, and ends with the process.
        """
        return hmac.digest(self._secret or _process_secret(), b"server-jobs signing key", "sha256")

    def admit(self, authorization: str | None) -> Caller | None:
        """Return the caller of an `Authorization` header, or None. Takes the same time for every token."""
        scheme, _, token = (authorization or "").partition(" ")
        found = self.find(token.strip(" "))
        return found.caller if found is not None and scheme.lower() == "bearer" else None

    def find(self, token: str) -> NamedToken | None:
        """Return the configuration of a token, or None. Takes the same time for every token."""
        given = _digest(token)
        matches = [one for one in self._tokens if hmac.compare_digest(given, one.digest)]
        return matches[0] if matches else None


@cache
def _process_secret() -> bytes:
    return secrets.token_bytes(32)


def new_token() -> str:
    """Return a token of 32 random bytes, in base64url."""
    return secrets.token_urlsafe(32)


@contextmanager
def random_token_if_missing() -> Iterator[None]:
    """Set `JOBS_TOKEN` to a random token inside the block if it is not set, for links in tests."""
    earlier = os.environ.get(TOKEN_VARIABLE)
    os.environ[TOKEN_VARIABLE] = earlier or new_token()
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[TOKEN_VARIABLE]
        else:
            os.environ[TOKEN_VARIABLE] = earlier


@lru_cache(maxsize=8)  # a Worker reads its variables for every request
def named_tokens(text: str) -> tuple[NamedToken, ...]:
    """Read `JOBS_TOKENS`: tokens separated by line breaks or semicolons.

    Raises `InvalidOptionError`; the message contains no part of a token.
    """
    lines = [line.strip() for line in text.replace(";", "\n").splitlines()]
    found = [_read(line, number) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if len(found) > MOST_NAMED_TOKENS:
        raise InvalidOptionError(f"JOBS_TOKENS has {len(found)} tokens; at most {MOST_NAMED_TOKENS} are possible")
    for name, count in Counter(one.caller.name for one in found).items():
        if count > _MOST_OF_ONE_NAME:
            raise InvalidOptionError(
                f"JOBS_TOKENS has {count} tokens named {name!r}; {_MOST_OF_ONE_NAME} may share a name"
            )
    return tuple(found)


def rights_of(scopes: Iterable[str]) -> Rights:
    """Read scopes such as `read` and `enqueue:mail,reports`. Raises `InvalidOptionError` for an unknown scope.

    In the name of a queue, a comma, a semicolon, a percent sign and white space are percent-encoded: `%2C`.
    """
    rights: dict[Scope, frozenset[str] | None] = {}
    for text in scopes:
        name, colon, queues = text.partition(":")
        if name not in set(Scope):
            raise InvalidOptionError(f"there is no scope {name[:20]!r}; scopes are {_SCOPES}, such as enqueue:mail")
        scope = Scope(name)
        if scope in rights:
            raise InvalidOptionError(
                f"the scope {name} is given twice; give all its queues at once: {name}:mail,reports"
            )
        rights[scope] = frozenset(_queues(name, queues)) if colon else None
    return rights


def _queues(scope: str, text: str) -> Iterator[str]:
    for part in text.split(","):
        queue = unquote(part)
        if not queue:
            raise InvalidOptionError(f"the scope {scope} has an empty name of a queue; write {scope}:mail,reports")
        check_text("the queue of a scope", queue, LONGEST_NAME)
        yield queue


def _written(scope: Scope, queues: frozenset[str] | None) -> str:
    names = "" if queues is None else ":" + ",".join(quote(queue, safe="") for queue in sorted(queues))
    return f"{scope}{names}"


def _read(line: str, number: int) -> NamedToken:
    place = f"{NAMED_TOKENS_VARIABLE}, entry {number}"
    name, *scopes, digest = line.split() if len(line.split()) >= 3 else ("", "", "")
    found = _HASH.fullmatch(digest)
    if found is None:
        raise InvalidOptionError(
            f"{place}: write `NAME SCOPE… sha256:HASH`, as `server-jobs token --name NAME --scope SCOPE` prints it"
        )
    _check_name(name, f"{place}: the name")
    try:
        return NamedToken(Caller(name, rights_of(scopes)), bytes.fromhex(found[1]))
    except InvalidOptionError as error:
        raise InvalidOptionError(f"{place}: {error}") from None


def _check_name(name: str, what: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidOptionError(f"{what} of a token has 1 to 64 letters, digits, dots, hyphens and underscores")


def _check(token: str, number: int) -> None:
    if len(token) < SHORTEST_TOKEN:
        raise InvalidOptionError(
            f"token {number} has {len(token)} characters; it must be 32 random bytes or more, which take "
            f"{SHORTEST_TOKEN}: `server-jobs token` makes one"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidOptionError(
            f"token {number} has characters that no header may contain, or spaces: `server-jobs token` makes one"
        )
    if len(set(token)) < _FEWEST_DIFFERENT:
        raise InvalidOptionError(f"token {number} is not random: `server-jobs token` makes one")


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
