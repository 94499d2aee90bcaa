"""Enqueue inside a SQLAlchemy transaction of the application: job and data commit or roll back together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Insert, MetaData, Select, Table, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from ..domain.clock import SQLITE_NOW
from ..domain.interfaces import POSTGRES_CHANNEL
from ..domain.record import Inserted, JobStatus, NewJob
from ..errors import DatabaseError, InvalidOptionError
from ..middleware import Middleware, enqueuing
from ..schema import jobs
from .columns import GIVEN_TYPES

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_UNFINISHED = (JobStatus.PENDING, JobStatus.RUNNING)
_APART = 0.01
_announced: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()
_TRIES = 5  # the job with the unique key may finish between two statements


def insert_in(
    transaction: Connection | Session | AsyncConnection | AsyncSession,
    job: NewJob,
    schema: str | None = None,
    middleware: Sequence[Middleware] = (),
) -> Inserted | Awaitable[Inserted]:
    """Insert the job through this session or connection. Await the answer of an async one.

    Does not commit. If an unfinished job has the same unique key, return its id. `schema` is the PostgreSQL schema of
    the tables; None: the first schema of the connection's search path.
    """
    if isinstance(transaction, Connection | Session):
        with enqueuing(middleware, (job,)) as (new,):
            return _insert(transaction, new, schema)
    if _is_async(transaction):
        return _insert_surrounded(transaction, job, schema, middleware)
    raise InvalidOptionError(
        f"later_in takes a SQLAlchemy session or connection, sync or async, not a {type(transaction).__name__}"
    )


def _is_async(transaction: object) -> bool:
    """Whether this is an async object of SQLAlchemy, which needs greenlet."""
    try:
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    except ImportError:
        return False
    return isinstance(transaction, AsyncConnection | AsyncSession)


def _insert(transaction: Connection | Session, job: NewJob, schema: str | None) -> Inserted:
    connection = transaction.connection() if isinstance(transaction, Session) else transaction
    table = _table(connection.dialect.name, schema)
    insert, key_owner_of = _insert_statement(table, connection, job), _key_owner_of(table, job)
    for _ in range(_TRIES):
        if transaction.execute(insert).first():
            return Inserted(job.id, created=True)
        if owner := transaction.execute(key_owner_of).first():
            return Inserted(str(owner.id), created=False)
    raise _unsettled(job)


async def _insert_surrounded(
    transaction: AsyncConnection | AsyncSession, job: NewJob, schema: str | None, middleware: Sequence[Middleware]
) -> Inserted:
    with enqueuing(middleware, (job,)) as (new,):
        return await _insert_async(transaction, new, schema)


async def _insert_async(transaction: AsyncConnection | AsyncSession, job: NewJob, schema: str | None) -> Inserted:
    from sqlalchemy.ext.asyncio import AsyncSession

    connection = await transaction.connection() if isinstance(transaction, AsyncSession) else transaction
    table = _table(connection.dialect.name, schema)
    insert, key_owner_of = _insert_statement(table, connection.sync_connection, job), _key_owner_of(table, job)
    for _ in range(_TRIES):
        if (await connection.execute(insert)).first():
            return Inserted(job.id, created=True)
        if owner := (await connection.execute(key_owner_of)).first():
            return Inserted(str(owner.id), created=False)
    raise _unsettled(job)


def _unsettled(job: NewJob) -> DatabaseError:
    return DatabaseError(f"jobs with the unique key {job.unique_key!r} come and go too fast to enqueue one; try again")


def _table(dialect: str, schema: str | None) -> Table:
    """Return the table of jobs, in its schema on PostgreSQL."""
    return jobs if schema is None or dialect != "postgresql" else _table_in(schema)


@lru_cache
def _table_in(schema: str) -> Table:
    return jobs.to_metadata(MetaData(), schema=schema)


def _insert_statement(table: Table, connection: Connection | None, job: NewJob) -> Insert:
    if connection is None:
        raise InvalidOptionError("later_in needs an async connection that is open: use it inside `async with`")
    dialect = connection.dialect.name
    if dialect not in ("postgresql", "sqlite"):
        raise InvalidOptionError(f"later_in works on SQLite and PostgreSQL, not on {dialect}; use `later` instead")
    now = _now(dialect)
    due: object = job.scheduled_for if job.scheduled_for is not None else now + _span(dialect, job)
    values = {
        **{column: getattr(job, column) for column in GIVEN_TYPES},
        "scheduled_for": due,
        "created_at": now,
        "updated_at": now,
    }
    if dialect == "sqlite":  # workers notice commits by the file
        return sqlite.insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
    insert = postgresql.insert(table).values(values).on_conflict_do_nothing()
    if _announces(connection.engine):
        return insert.returning(table.c.id, func.pg_notify(POSTGRES_CHANNEL, ""))
    return insert.returning(table.c.id)


def _announces(engine: Engine) -> bool:
    """Whether this transaction wakes the workers at its commit.

    PostgreSQL commits transactions with a NOTIFY one after another: with 16 at a time, the rate falls to a quarter.
    Therefore one transaction within a few milliseconds has a NOTIFY. The workers that it wakes find the jobs of the
    others too, or poll for jobs that commit later.
    """
    now = time.monotonic()
    if now - _announced.get(engine, 0.0) < _APART:
        return False
    _announced[engine] = now
    return True


def _now(dialect: str) -> ColumnElement[datetime]:
    """Return the current time of the database in stored form, instead of the start of the transaction."""
    if dialect == "postgresql":
        return func.statement_timestamp()
    return literal_column(SQLITE_NOW, jobs.c.created_at.type)


def _span(dialect: str, job: NewJob) -> ColumnElement[object]:
    milliseconds = job.delay.total_seconds() * 1000
    if dialect == "postgresql":
        return literal_column(f"interval '{milliseconds:.0f} milliseconds'")
    return literal_column(f"{milliseconds:.0f}")


def _key_owner_of(table: Table, job: NewJob) -> Select[tuple[str]]:
    return select(table.c.id).where(table.c.unique_key == job.unique_key, table.c.status.in_(_UNFINISHED))
