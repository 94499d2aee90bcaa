"""Which database the bindings of a Worker name: a Turso database if its URL is among them, else D1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..databases.d1.database import D1Database
from ..databases.turso.database import TursoDatabase
from ..databases.turso.url import TOKEN_VARIABLE
from ..databases.url import D1_BINDING, TURSO_URL
from ..domain.interfaces import Database
from ..errors import DatabaseError, InvalidOptionError


def database_of(
    env: object, *, d1: str = D1_BINDING, turso_url: str = TURSO_URL, turso_token: str = TOKEN_VARIABLE
) -> Database:
    """The database of a Worker's `env`: what `create_cron_handler` takes as `database`.

    With a variable or secret `TURSO_DATABASE_URL`, the Turso database there, with the token of the secret
    `TURSO_AUTH_TOKEN`; else the D1 database that is bound as `DB`. Other names for these are arguments. Raises
    `DatabaseError` if `env` has neither, or what it has cannot be used.
    """
    url = text_in(env, turso_url)
    if url is not None:
        try:
            return _turso(url, text_in(env, turso_token))
        except InvalidOptionError as error:  # not the caller's of this Worker
            raise DatabaseError(str(error)) from error
    binding: Any = getattr(env, d1, None)
    if not hasattr(binding, "prepare"):  # also what JavaScript gives for nothing, and bindings of other kinds
        raise DatabaseError(
            f"the Worker has no database: bind D1 as {d1} under d1_databases in wrangler.jsonc, or give the URL of a "
            f"Turso database as {turso_url} and its token as the secret {turso_token} (npx wrangler secret put NAME; "
            "on your machine both in .dev.vars)"
        )
    return D1Database(binding)


def text_in(env: object, name: str) -> str | None:
    """The variable or secret of that name; None for one that is not there or is blank."""
    value = getattr(env, name, None)
    return value.strip() or None if isinstance(value, str) else None


@lru_cache(maxsize=1)
def _turso(url: str, token: str | None) -> TursoDatabase:
    """One for all invocations, so that the server is checked once and not by each: it keeps no connection of theirs."""
    return TursoDatabase(url, auth_token=token)
