"""A SQLite database that compares what each statement says about itself with what SQLite finds in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Row, Statement, Value

Call = tuple[Statement, Mapping[str, Value]]

_found: dict[str, bool] = {}


class CheckedSqlite(SqliteDatabase):
    """Raises `AssertionError` for a statement that writes and says that it reads, or the reverse."""

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        for statement, _ in (*calls, *([look] if look else [])):
            found = _writes(Path(self.path), statement.sql)
            assert found in (None, statement.writes), f"{statement.writes=}: {statement.sql}"
        return await super().run(*calls, look=look)


def _writes(path: Path, sql: str) -> bool | None:
    """Return whether the program of a statement begins a write. None: this file lacks a table or view of it.

    All files have the same tables, and SQLite needs milliseconds for a program: one for each text is enough.
    """
    if sql not in _found:
        try:
            with closing(sqlite3.connect(path)) as connection:
                program = connection.execute(f"EXPLAIN {sql}", _AnyParameters()).fetchall()
        except sqlite3.OperationalError:
            return None
        _found[sql] = any(opcode == "Transaction" and begins_write for _, opcode, _, begins_write, *_ in program)
    return _found[sql]


class _AnyParameters(dict[str, None]):
    def __missing__(self, name: str) -> None:
        return None
