"""Django's connection to the database of the jobs, as a database of the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, OperationalError, connections, router, transaction
from server_jobs.databases.parameter_styles import in_style
from server_jobs.domain.clock import POSTGRES_NOW, SQLITE_NOW
from server_jobs.domain.interfaces import Row, Statement, Value, Wake
from server_jobs.domain.record import NewJob
from server_jobs.domain.table_names import in_schema
from server_jobs.errors import DatabaseBusyError, DatabaseError, InvalidOptionError, SchemaMissingError
from server_jobs.stores.sql.store import SqlStore
from server_jobs.transactions.address import address_of
from server_jobs.transactions.wake_ups import NOTIFICATION, PRIVILEGES, column_of, forget, note_answer

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from psycopg import Connection, Cursor

Call = tuple[Statement, Mapping[str, Value]]

SUPPORTED = ("postgresql", "sqlite")
_MISSING = re.compile(r"no such (table|column)|(relation|column) .* does not exist")


def jobs_alias() -> str:
    """Return the alias of the database of the jobs: `default`, unless `DATABASE_ROUTERS` say otherwise."""
    from .models import StoredJob  # models can be imported once Django has loaded all apps

    return str(router.db_for_write(StoredJob))


def jobs_connection() -> BaseDatabaseWrapper:
    """Return Django's connection of this thread to the database of the jobs."""
    return connections[jobs_alias()]


def atomic(alias: str) -> AbstractContextManager[None]:
    """Return a transaction on the database with this alias, or a part of the transaction that is open."""
    block: AbstractContextManager[None] = cast("Any", transaction).atomic(using=alias, savepoint=False)
    return block


class DjangoDatabase:
    """The tables of the jobs through Django's own connection.

    Each call runs in the thread of the caller, and inside its transaction if there is one. From a coroutine, it runs in
    the thread in which Django runs the ORM for coroutines. `schema` is the PostgreSQL schema of the tables.
    """

    def __init__(self, schema: str | None = None) -> None:
        self._schema = schema
        self.name = jobs_connection().vendor
        if self.name not in SUPPORTED:
            raise InvalidOptionError(
                f"jobs cannot be stored in the database {jobs_alias()!r}: {self.name} is not supported; use SQLite or "
                "PostgreSQL, or let DATABASE_ROUTERS lead the app `server_jobs` to another database"
            )
        if self.name == "postgresql" and not is_psycopg3():
            raise DatabaseError("jobs need version 3 of the driver psycopg; run pip install 'server-jobs[postgres]'")
        self.now = POSTGRES_NOW if self.name == "postgresql" else f"(SELECT {SQLITE_NOW})"

    async def open(self) -> None:
        """Do nothing: Django connects when needed."""

    async def close(self) -> None:
        """Do nothing: Django closes its connections."""

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        """Like `Database.run`."""
        rows: Sequence[Sequence[Row]] = await sync_to_async(self._run)(calls, look)
        return rows

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Do nothing: only workers watch, and they have connections of their own."""
        del wake
        return lambda: None

    def announce(self) -> None:
        """Do nothing: `run` announces what it writes."""

    def _run(self, calls: Sequence[Call], look: Call | None) -> Sequence[Sequence[Row]]:
        alias = jobs_alias()
        connection = connections[alias]
        try:
            if look is not None and not self._rows(connection, look):
                return [() for _ in calls]
            connection.ensure_connection()
            are_waking = self._are_waking(connection)
            with atomic(alias) if len(calls) > 1 else nullcontext():
                rows = [self._rows(connection, call, wakes=are_waking and _stores(call)) for call in calls]
        except Error as error:
            forget(address_of(connection.connection))
            raise _meaning(error, alias) from error
        is_announced = are_waking and any(map(_stores, calls))
        if self.name == "postgresql" and not is_announced and any(statement.writes for statement, _ in calls):
            _announce(connection)
        return rows

    def _are_waking(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether statements that store jobs may notify, whatever the role."""
        return self.name == "postgresql" and column_of(address_of(connection.connection)) == NOTIFICATION

    def _rows(self, connection: BaseDatabaseWrapper, call: Call, *, wakes: bool = False) -> list[Row]:
        statement, parameters = call
        sql = f"{statement.sql.rstrip()}, {NOTIFICATION}" if wakes else statement.sql
        sql = in_schema(sql, self._schema if self.name == "postgresql" else None)
        with connection.cursor() as cursor:
            if self.name == "postgresql":
                _keep_json_as_text(cursor.cursor)
            cursor.execute(in_style(sql, "pyformat")[0], parameters)
            if cursor.description is None:
                return []
            # The notification is the last column, and no part of a row.
            names = [column[0] for column in cursor.description[: -1 if wakes else None]]
            return [dict(zip(names, map(_aware, row), strict=not wakes)) for row in cursor.fetchall()]


class DjangoStore(SqlStore):
    """The stored jobs through Django's own connection."""

    async def open(self) -> None:
        """Do nothing: Django connects when needed.

        The pytest plugin does not guard this connection, because the test runner of Django and pytest-django do.
        """

    async def store_new(self, jobs: Sequence[NewJob]) -> bool:
        """Store nothing: a statement that PostgreSQL refuses would end the transaction of the caller."""
        del jobs
        return False


def is_psycopg3() -> bool:
    """Whether Django uses version 3 of the driver of PostgreSQL."""
    from django.db.backends.postgresql import psycopg_any  # needs a driver

    return bool(psycopg_any.is_psycopg3)


def _keep_json_as_text(cursor: Cursor) -> None:
    from psycopg.types.string import TextLoader  # an extra

    cursor.adapters.register_loader("json", TextLoader)


def _aware(value: Value) -> Value:
    """Return a time with its zone, which Django leaves out without `USE_TZ`."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=ZoneInfo(settings.TIME_ZONE))
    return value


def _stores(call: Call) -> bool:
    """Whether a statement stores jobs and ends with the columns that it returns."""
    return call[0].sql.lstrip().startswith("INSERT INTO jobs ")


def _announce(connection: BaseDatabaseWrapper) -> None:
    """Wake workers at the commit.

    It passes by Django's cursor, so that tests that count queries always count one for each enqueue.
    """
    if connection.needs_rollback:
        return
    driver = cast("Connection", connection.connection)
    address = address_of(driver)
    with suppress(Exception), driver.cursor() as cursor:  # a hint: the jobs are stored without it
        may = column_of(address) == NOTIFICATION
        if not may:
            everybody, me = cursor.execute(f"SELECT {PRIVILEGES}").fetchone() or (False, False)
            may = note_answer(address, everybody=everybody, me=me)
        if may:
            try:
                cursor.execute(f"SELECT {NOTIFICATION}")
            except BaseException:
                forget(address)
                raise


def _meaning(error: Error, alias: str) -> DatabaseError:
    text = str(error).partition("\n")[0]
    if _MISSING.search(text):
        return SchemaMissingError(f"the database {alias!r} of Django: {text}")
    if isinstance(error, OperationalError) and "locked" in text:
        return DatabaseBusyError(f"the database {alias!r} of Django is locked by another process: {text}")
    return DatabaseError(f"the database {alias!r} of Django refused a statement: {text}")
