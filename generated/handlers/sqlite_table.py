"""The table an import fills: created when it is missing, and written so that writing twice changes nothing."""

from __future__ import annotations

import sqlite3  # cloudflare: ok -- imports are left to workers of machines with a disk
from collections.abc import Sequence

from ..models.import_csv import ImportCsvParams
from .row_rules import Value

_SQL_TYPES = {"text": "TEXT", "integer": "INTEGER", "number": "REAL"}


class SqliteTable:
    """A table of an SQLite database, with the columns and the key of an import."""

    def __init__(self, connection: sqlite3.Connection, params: ImportCsvParams) -> None:
        self._connection = connection
        self._upsert = _upsert_statement(params)
        with connection:
            connection.execute(_create_statement(params))

    def upsert(self, rows: Sequence[Sequence[Value]]) -> int:
        """Store the rows in one transaction; returns how many were new or different."""
        before = self._connection.total_changes
        with self._connection:
            self._connection.executemany(self._upsert, rows)
        return self._connection.total_changes - before


def _create_statement(params: ImportCsvParams) -> str:
    columns = ", ".join(f"{_quoted(column.name)} {_SQL_TYPES[column.type]}" for column in params.columns)
    return f"CREATE TABLE IF NOT EXISTS {_quoted(params.table)} ({columns}, PRIMARY KEY ({_quoted(params.key)}))"


def _upsert_statement(params: ImportCsvParams) -> str:
    table, key = _quoted(params.table), _quoted(params.key)
    names = [_quoted(column.name) for column in params.columns]
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)}) ON CONFLICT ({key})"
    others = [name for name in names if name != key]
    if not others:
        return f"{insert} DO NOTHING"
    # Without the condition SQLite would count and write rows that are equal already.
    assignments = ", ".join(f"{name} = excluded.{name}" for name in others)
    differs = " OR ".join(f"{table}.{name} IS NOT excluded.{name}" for name in others)
    return f"{insert} DO UPDATE SET {assignments} WHERE {differs}"


def _quoted(identifier: str) -> str:
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'
