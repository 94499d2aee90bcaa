"""Databases for tests of migrations: SQLite files, and an empty PostgreSQL database for each test."""

from __future__ import annotations

import atexit
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.postgres import postgres_url

# Each time a database is dropped, the server writes all that any process has changed to its disk, and waits for it. So
# a database is emptied for the next test, and dropped at the end of this process.
_empty: list[str] = []

_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_DROP_SCHEMAS = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$;
CREATE SCHEMA public
"""
# As of a new database.
_GRANTS = "ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC"
_GRANTS_BEFORE_15 = "GRANT ALL ON SCHEMA public TO PUBLIC"
# What is not in a schema.
_HAS_MORE = """
SELECT EXISTS (SELECT 1 FROM pg_default_acl) OR EXISTS (SELECT 1 FROM pg_extension WHERE extname <> 'plpgsql')
    OR EXISTS (SELECT 1 FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL)
"""


@contextmanager
def postgres_database() -> Iterator[str]:
    """Yield the URL of an empty database that no other test uses. Fails the test if there is no server."""
    name = _empty.pop() if _empty else _create()
    try:
        yield _url_of(name)
    finally:
        if _make_empty(name):
            _empty.append(name)


def _url_of(name: str) -> str:
    return urlunsplit(urlsplit(postgres_url())._replace(path=f"/{name}"))


def _create() -> str:
    name = f"server_jobs_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url(), autocommit=True, connect_timeout=30) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        _set_up(connection, name)
    atexit.register(_drop, name)
    return name


def _set_up(connection: psycopg.Connection, name: str) -> None:
    # No test cuts the power.
    connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))


def _make_empty(name: str) -> bool:
    """Return whether a database is as a new one afterwards."""
    with psycopg.connect(_url_of(name), autocommit=True) as connection:
        connection.execute(_END_OTHERS)
        connection.execute(_DROP_SCHEMAS)
        is_new = connection.info.server_version >= 150_000
        connection.execute(_GRANTS if is_new else _GRANTS_BEFORE_15)
        connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(name)))
        _set_up(connection, name)
        return connection.execute(_HAS_MORE).fetchone() == (False,)


def _drop(name: str) -> None:
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
