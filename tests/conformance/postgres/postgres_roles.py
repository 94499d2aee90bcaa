"""The documented PostgreSQL roles, with the grants of their page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.docs.pages import ROOT, block

_PAGE = ROOT / "docs/how-to/postgresql.md"
_ROLES = ("jobs_enqueuer", "jobs_worker")


@contextmanager
def documented_roles(owner: str, schema: str = "jobs") -> Iterator[Mapping[str, str]]:
    """Yield the URL of each role in this database, whose tables are in that schema. Drop the roles at the end.

    They have unique names, because roles belong to the whole server, which other tests use too.
    """
    statement = block(_PAGE, "pgsql", start="CREATE ROLE")
    statement = statement.replace("jobs.", f"{schema}.").replace("SCHEMA jobs", f"SCHEMA {schema}")
    names = {role: f"{role}_{owner[-8:]}" for role in _ROLES}
    for role, name in names.items():
        statement = statement.replace(role, name)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(statement.encode())
        for name in names.values():
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'secret'").format(sql.Identifier(name)))
        try:
            yield {role: _url_of(owner, name) for role, name in names.items()}
        finally:
            for name in names.values():
                connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _url_of(owner: str, role: str) -> str:
    parts = urlsplit(owner)
    return urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))
