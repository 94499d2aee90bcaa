"""`later_in` with Django's connections and their aliases, as a plug-in of the core."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from django.db import connections
from server_jobs.domain.record import Inserted
from server_jobs.errors import InvalidOptionError
from server_jobs.transactions.insertion import Parameters
from server_jobs.transactions.kinds import TransactionKind
from server_jobs.transactions.storing import Rows, Storing

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def connection_of(alias: str) -> BaseDatabaseWrapper:
    """Return the connection of this thread with this alias. Raises `InvalidOptionError` if `DATABASES` has none."""
    if alias not in connections:
        known = ", ".join(connections)
        raise InvalidOptionError(f"DATABASES of Django has no alias {alias!r}; there are {known}")
    return connections[alias]


def insert(connection: BaseDatabaseWrapper, storing: Storing) -> Sequence[Inserted]:
    """Store the jobs through this connection."""

    def execute(sql: str, parameters: Parameters) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: Rows = cursor.fetchall()
            return rows

    connection.ensure_connection()
    return storing.run(connection.vendor, "format", execute, connection=connection.connection)


def on_rollback(connection: BaseDatabaseWrapper, undo: Callable[[], None]) -> None:
    """Call `undo` once the transaction is rolled back, or a savepoint around this call.

    Django forgets the functions of `on_commit` at a rollback, and then nothing refers to this one.
    """

    def commit() -> None:
        rolled_back.detach()

    rolled_back = weakref.finalize(commit, undo)
    rolled_back.atexit = False
    connection.on_commit(commit)


DJANGO = TransactionKind(insert=insert, named=connection_of, on_rollback=on_rollback)
