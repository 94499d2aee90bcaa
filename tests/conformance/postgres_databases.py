"""PostgreSQL databases with our tables and no rows: made once for each pytest process, emptied for each test."""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.generator.databases import postgres_database
from tests.postgres import postgres_url

_free: list[str] = []
_spoiled: set[str] = set()
_emptying: dict[str, psycopg.Connection] = {}
"""One connection for each database: a new one costs thirty times as much as the statement."""

_EMPTYING = "; ".join(f"DELETE FROM {table}" for table in metadata.tables).encode()


@contextmanager
def empty_database() -> Iterator[str]:
    """Yield the URL of a database with empty tables that no other test uses until the block ends."""
    url = _free.pop() if _free else _create()
    empty(url)
    yield url
    if url not in _spoiled:
        _free.append(url)


@contextmanager
def new_database() -> Iterator[str]:
    """Yield the URL of a database with new tables."""
    with postgres_database() as url:
        _create_tables(url)
        yield url


def empty(url: str) -> None:
    """Delete all rows with DELETE, because TRUNCATE creates new files."""
    connection = _emptying.get(url)
    if connection is None or connection.closed:
        connection = _emptying[url] = psycopg.connect(url, autocommit=True)
    try:
        connection.execute(_EMPTYING)
    except psycopg.OperationalError:  # a test ended all connections
        del _emptying[url]
        empty(url)


@contextmanager
def postgres_connection(url: str, *, autocommit: bool = True) -> Iterator[psycopg.Connection]:
    """Yield a second connection to the same database. Uncommitted changes are rolled back."""
    connection = psycopg.connect(url, autocommit=autocommit)
    try:
        yield connection
    finally:
        connection.close()


def spoil(url: str, statement: str) -> None:
    """Change the tables of a database. No other test uses it afterwards."""
    _spoiled.add(url)
    if url in _emptying:
        _emptying.pop(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _create() -> str:
    server = postgres_url()
    name = f"server_jobs_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())  # no test cuts the power
    url = f"{server.rpartition('/')[0]}/{name}"
    atexit.register(_drop, name, url)
    _create_tables(url)
    return url


def _create_tables(url: str) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    engine.dispose()


def _drop(name: str, url: str) -> None:
    if url in _emptying:
        _emptying.pop(url).close()
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
