"""Sessions and connections of SQLAlchemy with any of its drivers, sync and async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, scoped_session

from ..domain.record import Inserted
from .insertion import Parameters
from .kinds import TransactionKind
from .storing import Rows, Storing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

    AnySync = Connection | Session | scoped_session[Session]
    AnyAsync = AsyncConnection | AsyncSession | async_scoped_session[AsyncSession]

_SYNC = (Connection, Session, scoped_session)


def insert(
    transaction: AnySync | AnyAsync, storing: Storing
) -> Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]:
    """Store the jobs."""
    if isinstance(transaction, _SYNC):
        return _insert(transaction, storing)
    return _session(transaction).run_sync(_insert, storing)


def on_rollback(transaction: AnySync | AnyAsync, undo: Callable[[], None]) -> Awaitable[None] | None:
    """Call `undo` once the transaction is rolled back, or a savepoint around this call."""
    if not isinstance(transaction, _SYNC):
        return _session(transaction).run_sync(_watch, undo)
    _watch(transaction, undo)
    return None


KIND = TransactionKind(insert=insert, on_rollback=on_rollback)


def _session(transaction: AnyAsync) -> AsyncConnection | AsyncSession:
    return transaction() if callable(transaction) else transaction


def _connection(transaction: AnySync) -> Connection:
    return transaction if isinstance(transaction, Connection) else transaction.connection()


def _insert(transaction: AnySync, storing: Storing) -> Sequence[Inserted]:
    connection = _connection(transaction)

    def execute(sql: str, parameters: Parameters) -> Rows:
        return connection.exec_driver_sql(sql, parameters).fetchall()

    return storing.run(
        connection.dialect.name,
        connection.dialect.paramstyle,
        execute,
        connection=connection.connection.driver_connection,
    )


def _watch(transaction: AnySync, undo: Callable[[], None]) -> None:
    """Listen to the events of the connection. The transaction begins if it has not, as the INSERT would begin it."""
    connection = _connection(transaction)
    if not connection.in_transaction():
        connection.begin()
    is_open = True
    inside = 0  # savepoints that began after this call and did not end yet

    def end(*, is_undone: bool) -> None:
        nonlocal is_open
        if is_open and is_undone:
            undo()
        is_open = False

    def begin_savepoint(*_: object) -> None:
        nonlocal inside
        inside += 1

    def end_savepoint(*, is_undone: bool) -> None:
        nonlocal inside
        if inside:
            inside -= 1
        elif is_undone:
            end(is_undone=True)

    event.listen(connection, "savepoint", begin_savepoint)
    event.listen(connection, "release_savepoint", lambda *_: end_savepoint(is_undone=False))
    event.listen(connection, "rollback_savepoint", lambda *_: end_savepoint(is_undone=True))
    event.listen(connection, "rollback", lambda _: end(is_undone=True))
    event.listen(connection, "commit", lambda _: end(is_undone=False))
