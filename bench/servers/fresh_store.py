"""Stores that the harness empties before each measurement and queries after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

Ask = Callable[[str], int]


class FreshStore(Protocol):
    """The store of one subject."""

    @property
    def url(self) -> str:
        """The URL or path that the subject connects to."""
        ...

    def renew(self) -> None:
        """Empty the store."""
        ...

    def settle(self, *, is_analyzed: bool) -> None:
        """Finish pending maintenance, so that earlier writes do not slow down the measurement."""
        ...

    def ask(self, question: str) -> int:
        """Return the number that answers a question in the query language of the store."""
        ...

    def drop(self) -> None:
        """Remove the store."""
        ...


class PostgresStore:
    """A database on a PostgreSQL server."""

    def __init__(self, server: str, name: str) -> None:
        self._server = server
        self._name = sql.Identifier(name)
        self.url = f"{server.rsplit('/', 1)[0]}/{name}"
        self._connection: psycopg.Connection | None = None

    def renew(self) -> None:
        self.drop()
        _execute(self._server, sql.SQL("CREATE DATABASE {}").format(self._name))

    def settle(self, *, is_analyzed: bool) -> None:
        _execute(self.url, sql.SQL("VACUUM ANALYZE" if is_analyzed else "VACUUM"), sql.SQL("CHECKPOINT"))

    def ask(self, question: str) -> int:
        if self._connection is None:
            self._connection = psycopg.connect(self.url, autocommit=True)
        row = self._connection.execute(question.encode()).fetchone()
        return int(row[0]) if row else 0

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        _execute(self._server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(self._name))


class SqliteStore:
    """A database file in the folder of the subject."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "jobs.sqlite3"
        self.url = str(self._file)

    def renew(self) -> None:
        for path in self._file.parent.glob(f"{self._file.name}*"):
            path.unlink()

    def settle(self, *, is_analyzed: bool) -> None:
        del is_analyzed
        self.ask("PRAGMA wal_checkpoint(TRUNCATE)")

    def ask(self, question: str) -> int:
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=30)) as connection:
            return int(connection.execute(question).fetchone()[0])

    def drop(self) -> None:
        self.renew()


class NoStore:
    """The store of a subject in memory, which ends with the subject's process."""

    url = ""

    def renew(self) -> None:
        """Do nothing."""

    def settle(self, *, is_analyzed: bool) -> None:
        """Do nothing."""

    def ask(self, question: str) -> int:
        raise NotImplementedError(f"a store in memory cannot be asked from outside: {question}")

    def drop(self) -> None:
        """Do nothing."""


def _execute(url: str, *statements: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
