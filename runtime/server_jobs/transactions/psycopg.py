"""Connections of psycopg 3, sync and async."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from ..domain.record import Inserted
from .insertion import Parameters
from .kinds import TransactionKind
from .storing import Rows, Storing


def insert(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], storing: Storing
) -> Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]:
    """Store the jobs. The row factory and the cursor factory of the connection do not apply."""
    if isinstance(connection, psycopg.AsyncConnection):
        return _insert_async(connection, storing)

    def execute(sql: str, parameters: Parameters) -> Rows:
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            return cursor.execute(sql.encode(), parameters).fetchall()

    return storing.run("postgresql", "pyformat", execute, connection=connection)


async def _insert_async(connection: psycopg.AsyncConnection[Any], storing: Storing) -> Sequence[Inserted]:
    async def execute(sql: str, parameters: Parameters) -> Rows:
        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            await cursor.execute(sql.encode(), parameters)
            return await cursor.fetchall()

    return await storing.run_async("postgresql", "pyformat", execute, connection=connection)


KIND = TransactionKind(insert=insert)
