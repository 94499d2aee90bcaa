"""The database of a Worker, from its bindings: Turso if a URL is set, else D1."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from server_jobs.domain.interfaces import Database
from server_jobs.errors import DatabaseError, InvalidOptionError
from server_jobs_turso.url import TURSO_TOKEN, TURSO_URL

from .binding_names import D1_BINDING
from .databases.d1 import D1Database

if TYPE_CHECKING:
    from server_jobs_turso.database import TursoDatabase


def database_of(
    env: object, *, d1: str = D1_BINDING, turso_url: str = TURSO_URL, turso_token: str = TURSO_TOKEN
) -> Database:
    """Return the database of a Worker's `env`. Pass this function as `database` to `create_cron_handler`.

    With a variable or secret `TURSO_DATABASE_URL`, it is that Turso database, with the token in the secret
    `TURSO_AUTH_TOKEN`; otherwise the D1 database with the binding `DB`. Arguments change these names. Raises
    `DatabaseError` if `env` has neither, or an invalid URL or token.
    """
    url = text_in(env, turso_url)
    if url is not None:
        try:
            return _turso(url, text_in(env, turso_token))
        except InvalidOptionError as error:  # the configuration is wrong, not the request
            raise DatabaseError(str(error)) from error
    binding: Any = getattr(env, d1, None)
    if not hasattr(binding, "prepare"):  # also for undefined, and for other kinds of bindings
        raise DatabaseError(
            f"the Worker has no database: bind D1 as {d1} under d1_databases in wrangler.jsonc, or give the URL of a "
            f"Turso database as {turso_url} and its token as the secret {turso_token} (npx wrangler secret put NAME; "
            "on your machine both in .dev.vars)"
        )
    return D1Database(binding)


def text_in(env: object, name: str) -> str | None:
    """Return a variable or secret, or None if it is missing or blank."""
    value = getattr(env, name, None)
    return value.strip() or None if isinstance(value, str) else None


@lru_cache(maxsize=1)
def _turso(url: str, token: str | None) -> TursoDatabase:
    """Return one object for all invocations, so that the server is checked once. It keeps no connections."""
    from server_jobs_turso.database import (
        TursoDatabase,  # most Workers have D1, and each module costs start time
    )

    return TursoDatabase(url, auth_token=token)
