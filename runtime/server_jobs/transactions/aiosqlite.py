"""Connections of aiosqlite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..domain.record import Inserted
from .insertion import Parameters
from .kinds import TransactionKind
from .storing import Rows, Storing

if TYPE_CHECKING:
    from aiosqlite import Connection


async def insert(connection: Connection, storing: Storing) -> Sequence[Inserted]:
    """Store the jobs. The row factory of the connection does not apply."""

    async def execute(sql: str, parameters: Parameters) -> Rows:
        async with connection.cursor() as cursor:
            cursor.row_factory = None
            await cursor.execute(sql, parameters)
            return list(await cursor.fetchall())

    return await storing.run_async("sqlite", "named", execute)


KIND = TransactionKind(insert=insert)
