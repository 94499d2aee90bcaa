"""The PostgreSQL roles that the README recommends, with the grants as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

_README = Path(__file__).parents[2] / "README.md"
_ROLES = ("jobs_enqueuer", "jobs_worker")


def readme_sql(start: str) -> str:
    """The SQL for PostgreSQL in the README that begins like this."""
    (found,) = re.findall(rf"```pgsql\n({re.escape(start)}.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


@contextmanager
def readme_roles(owner: str, schema: str = "jobs") -> Iterator[Mapping[str, str]]:
    """The URL of each role of the README in this database, whose tables lie in that schema. The roles are dropped.

    They have other names, since roles belong to the whole server, which other tests use at the same time.
    """
    statement = readme_sql("CREATE ROLE")
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
