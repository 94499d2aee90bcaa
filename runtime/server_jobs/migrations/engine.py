"""The SQLAlchemy engine that migrations run on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, pool, text
from sqlalchemy.exc import SQLAlchemyError

from ..databases.opening import sqlalchemy_url as url_for_sqlalchemy
from ..databases.url import without_password
from ..errors import DatabaseError

_SUPPORTED = (
    "Alembic migrates SQLite and PostgreSQL, such as sqlite:///jobs.sqlite3 or postgresql://localhost/shop; "
    "`server-jobs migrate` migrates the databases of plug-ins"
)


def sqlalchemy_url(url: str) -> URL:
    """Return the URL with psycopg 3 as the driver of PostgreSQL, and with the hosts and time limits of the engine.

    Raises `InvalidOptionError` for a URL that the engine refuses too, and `DatabaseError` for another database.
    """
    written = url_for_sqlalchemy(url)
    try:
        made = make_url(written)
    except (SQLAlchemyError, ValueError):
        raise DatabaseError(f"{without_password(url)!r} is not a database URL; {_SUPPORTED}") from None
    if made.get_backend_name() not in ("sqlite", "postgresql"):
        raise DatabaseError(f"{without_password(url)}: {made.get_backend_name()} is not supported; {_SUPPORTED}")
    return made


def migration_engine(url: str) -> Engine:
    """Return an engine without a pool, whose transactions on SQLite include CREATE TABLE and lock at once."""
    engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
    if engine.dialect.name == "sqlite":
        _create_private_file(engine.url.database or "")
        event.listen(engine, "connect", _begin_nothing)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def enter_schema(connection: Connection, schema: str | None) -> None:
    """Let unqualified names mean this PostgreSQL schema until the transaction ends. Other databases have none."""
    if schema is not None and connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL search_path TO {quoted(connection, schema)}"))


def current_search_path(connection: Connection) -> str | None:
    """Return the search path, for `restore_search_path`; None if the database has none."""
    if connection.dialect.name != "postgresql":
        return None
    return str(connection.scalar(text("SELECT current_setting('search_path')")))


def restore_search_path(connection: Connection, path: str | None) -> None:
    """Undo `enter_schema` before the transaction ends."""
    if path is not None:
        connection.execute(text("SELECT set_config('search_path', :path, true)"), {"path": path})


def quoted(connection: Connection, name: str) -> str:
    """Return the name between quotes."""
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _create_private_file(path: str) -> None:
    """Create the database file with mode 0600, unless it exists.

    SQLite gives its companion files (-wal, -shm and -journal) the same mode.
    """
    if path in ("", ":memory:"):
        return
    with suppress(OSError):  # it exists, or SQLite will report why it cannot be created
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _begin_nothing(driver: sqlite3.Connection, _record: object) -> None:
    """Keep the driver from committing before each CREATE TABLE; `_begin_immediate` begins transactions instead."""
    driver.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: SQLite cannot wait for it later."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
