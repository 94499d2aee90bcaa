"""Databases for tests of migrations: SQLite files, and a PostgreSQL database for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.postgres import postgres_url


@contextmanager
def postgres_database() -> Iterator[str]:
    """Yield the URL of a new, empty database, dropped at the end. Fails the test if there is no server."""
    server = postgres_url()
    name = f"server_jobs_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
