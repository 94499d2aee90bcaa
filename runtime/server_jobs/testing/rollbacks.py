"""Notice that a transaction was rolled back. SQLAlchemy and Django can tell, plain drivers cannot."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

Undo = Callable[[], None]


async def on_rollback_async(transaction: object, undo: Undo) -> None:
    """Like `on_rollback`, for an async session or connection."""
    run_sync = getattr(transaction, "run_sync", None)  # SQLAlchemy: the only ones that can tell
    if run_sync is not None:
        await run_sync(lambda inner: on_rollback(inner, undo))


def on_rollback(transaction: Any, undo: Undo) -> None:  # noqa: ANN401  objects of many libraries
    """Call `undo` when the transaction, or a savepoint around this call, is rolled back."""
    if isinstance(transaction, str):
        transaction = sys.modules["django.db"].connections[transaction]
    library = type(transaction).__module__.partition(".")[0]
    if library == "django":
        _watch_django(transaction, undo)
    elif library == "sqlalchemy" or hasattr(transaction, "get_bind"):  # or a subclass of Session
        _watch_sqlalchemy(transaction.connection() if hasattr(transaction, "get_bind") else transaction, undo)


def _watch_sqlalchemy(connection: Any, undo: Undo) -> None:  # noqa: ANN401  SQLAlchemy is an extra
    from sqlalchemy import event

    if not connection.in_transaction():
        connection.begin()  # as the INSERT would
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


def _watch_django(connection: Any, undo: Undo) -> None:  # noqa: ANN401  Django is optional
    """Django forgets the functions of `on_commit` at a rollback, and then nobody refers to this one."""

    def commit() -> None:
        rolled_back.detach()

    rolled_back = weakref.finalize(commit, undo)
    rolled_back.atexit = False
    connection.on_commit(commit)
