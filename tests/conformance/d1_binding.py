"""A strict fake of a Worker's D1 binding, on SQLite: it rejects and converts the same values as D1.

The rules come from Cloudflare's limits page and from local D1: at most 100 bound parameters and 100,000 bytes of SQL,
five terms of a UNION, no text of more than 2,000,000 bytes, every number bound as a double, no statement that begins or
ends a transaction, each batch atomic.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_PARAMETERS = 100
MOST_SQL_BYTES = 100_000
MOST_BYTES = 2_000_000  # of a text, or of a row
LARGEST_EXACT_INTEGER = 2**53 - 1
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MOST_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MOST_SQL_BYTES,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: MOST_PARAMETERS,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 5,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
}

_FORBIDDEN = re.compile(r"^\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|ATTACH|VACUUM|PRAGMA\s+journal_mode)", re.IGNORECASE)


class D1Refusal(Exception):
    """An error of D1."""


@dataclass(frozen=True)
class FakeResult:
    """The answer to one statement."""

    results: list[dict[str, object]]


class FakeStatement:
    """A prepared statement."""

    def __init__(self, binding: FakeD1, sql: str, values: tuple[object, ...] = ()) -> None:
        self._binding = binding
        self.sql = sql
        self.values = values

    def bind(self, *values: object) -> FakeStatement:
        if len(values) > MOST_PARAMETERS:
            raise D1Refusal("D1_ERROR: too many SQL variables")
        return FakeStatement(self._binding, self.sql, tuple(_bound(value) for value in values))

    async def all(self) -> FakeResult:
        return (await self._binding.batch([self]))[0]


class FakeD1:
    """A D1 database in a file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for limit, most in LIMITS.items():
            self._connection.setlimit(limit, most)
        self.queries = 0

    def prepare(self, sql: str) -> FakeStatement:
        if len(sql.encode()) > MOST_SQL_BYTES:
            raise D1Refusal("D1_ERROR: statement too long: SQLITE_TOOBIG")
        if _FORBIDDEN.match(sql):
            raise D1Refusal(f"D1_ERROR: not authorized: SQLITE_AUTH: {sql.split()[0]}")
        return FakeStatement(self, sql)

    async def batch(self, statements: object) -> Sequence[FakeResult]:
        assert isinstance(statements, list)
        await asyncio.sleep(0)  # let other calls run before the answer
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            results = [self._execute(statement) for statement in statements]
        except (sqlite3.Error, UnicodeEncodeError) as error:
            self._connection.execute("ROLLBACK")
            raise D1Refusal(f"D1_ERROR: {error}") from error
        self._connection.execute("COMMIT")
        return results

    def execute(self, sql: str) -> None:
        """Change the database without the binding."""
        self._connection.execute(sql)

    def close(self) -> None:
        self._connection.close()

    def _execute(self, statement: FakeStatement) -> FakeResult:
        self.queries += 1
        numbered = {str(index): value for index, value in enumerate(statement.values, 1)}
        rows = self._connection.execute(statement.sql, numbered).fetchall()
        return FakeResult([{name: _read(row[name]) for name in row.keys()} for row in rows])  # noqa: SIM118


def _bound(value: object) -> object:
    """Convert a parameter. JavaScript has one kind of number, and D1 rejects a BigInt."""
    match value:
        case bool() | int():
            if abs(value) > LARGEST_EXACT_INTEGER:
                raise D1Refusal("D1_TYPE_ERROR: Type 'bigint' not supported")
            return float(value)
        case None | float() | str() | bytes():
            return value
        case _:
            raise D1Refusal(f"D1_TYPE_ERROR: Type '{type(value).__name__}' not supported")


def _read(value: object) -> object:
    """Convert a value of an answer. D1 returns bytes as a list of numbers."""
    return list(value) if isinstance(value, bytes) else value
