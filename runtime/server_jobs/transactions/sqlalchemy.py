"""Sessions and connections of SQLAlchemy with any of its drivers, sync and async."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session, scoped_session

from ..domain.record import Inserted
from .insertion import Parameters
from .storing import Rows, Storing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session


def insert(
    transaction: Connection
    | Session
    | scoped_session[Session]
    | AsyncConnection
    | AsyncSession
    | async_scoped_session[AsyncSession],
    storing: Storing,
) -> Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]:
    """Store the jobs."""
    if isinstance(transaction, Connection | Session | scoped_session):
        return _insert(transaction, storing)
    session = transaction() if callable(transaction) else transaction
    return session.run_sync(_insert, storing)


def _insert(transaction: Connection | Session | scoped_session[Session], storing: Storing) -> Sequence[Inserted]:
    connection = transaction if isinstance(transaction, Connection) else transaction.connection()

    def execute(sql: str, parameters: Parameters) -> Rows:
        return connection.exec_driver_sql(sql, parameters).fetchall()

    return storing.run(
        connection.dialect.name,
        connection.dialect.paramstyle,
        execute,
        connection=connection.connection.driver_connection,
    )
