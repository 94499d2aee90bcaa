"""Databases for tests of migrations: SQLite files, and a PostgreSQL database that lives as long as the test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

_VARIABLE = "SERVER_JOBS_TEST_POSTGRES_URL"
_DEFAULT = "postgresql://postgres@127.0.0.1:5432/postgres"
_HOW_TO_START = (
    "these tests need a PostgreSQL server; start one with "
    "`docker run --rm -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres`, "
    f"or name one in the environment variable {_VARIABLE}"
)


@contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a new, empty database, which is dropped at the end. Fails the test when there is no server."""
    server = os.environ.get(_VARIABLE, _DEFAULT)
    name = f"server_jobs_{uuid.uuid4().hex[:12]}"
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        pytest.fail(f"{error}\n{_HOW_TO_START}", pytrace=False)
    with connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
