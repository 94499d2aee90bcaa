"""Connections of sqlite3."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..domain.record import Inserted
from .insertion import Parameters
from .kinds import TransactionKind
from .storing import Rows, Storing


def insert(connection: sqlite3.Connection, storing: Storing) -> Sequence[Inserted]:
    """Store the jobs. The row factory of the connection does not apply."""

    def execute(sql: str, parameters: Parameters) -> Rows:
        cursor = connection.cursor()
        cursor.row_factory = None
        return cursor.execute(sql, parameters).fetchall()

    return storing.run("sqlite", "named", execute)


KIND = TransactionKind(insert=insert)
