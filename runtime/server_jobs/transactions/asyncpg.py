"""Connections of asyncpg, also from a pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..domain.record import Inserted
from .insertion import Parameters
from .kinds import TransactionKind
from .storing import Rows, Storing


async def insert(connection: Any, storing: Storing) -> Sequence[Inserted]:  # noqa: ANN401  the library has no types
    """Store the jobs. The record class of the connection does not matter."""

    async def execute(sql: str, parameters: Parameters) -> Rows:
        rows: Rows = await connection.fetch(sql, *parameters)
        return rows

    return await storing.run_async("postgresql", "numeric_dollar", execute, connection=connection)


KIND = TransactionKind(insert=insert, is_async=True)
