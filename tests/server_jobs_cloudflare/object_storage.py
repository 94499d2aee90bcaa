"""A fake of `ctx.storage` of a Durable Object, on SQLite in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.d1_binding import LIMITS


@dataclass(frozen=True)
class FakeCursor:
    """The rows of a statement."""

    rows: list[dict[str, object]]

    def toArray(self) -> object:
        return self.rows


class FakeSql:
    """The attribute `sql`. Bytes are read as memoryviews, as in Pyodide."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def exec(self, sql: str, /, *values: object) -> FakeCursor:
        if not values and ";" in sql.strip().rstrip(";"):
            for statement in _statements(sql):
                self._connection.execute(statement)
            return FakeCursor([])
        numbered = {str(index): value for index, value in enumerate(values, 1)}
        rows = self._connection.execute(sql, numbered).fetchall()
        return FakeCursor([{name: _read(row[name]) for name in row.keys()} for row in rows])  # noqa: SIM118


class FakeStorage:
    """The storage of one object, with its alarm in milliseconds."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for limit, most in LIMITS.items():
            self._connection.setlimit(limit, most)
        self.sql = FakeSql(self._connection)
        self.alarm: float | None = None

    def transactionSync(self, work: Callable[[], object], /) -> object:
        self._connection.execute("BEGIN")
        try:
            result = work()
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    async def setAlarm(self, milliseconds: float, /) -> None:
        self.alarm = milliseconds

    async def deleteAlarm(self) -> None:
        self.alarm = None

    async def deleteAll(self) -> None:
        for row in self.sql.exec("SELECT name FROM sqlite_master WHERE type = 'view'").rows:
            self._connection.execute(f"DROP VIEW {row['name']}")
        for row in self.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'").rows:
            self._connection.execute(f"DROP TABLE {row['name']}")


def _statements(script: str) -> list[str]:
    found, statement = list[str](), ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found


def _read(value: object) -> object:
    return memoryview(value) if isinstance(value, bytes) else value
