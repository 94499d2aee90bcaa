"""Applications with an open transaction: a seat for each library and way to use it, all with the same sync methods."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiosqlite
import asyncpg
import psycopg
from django.db.utils import ConnectionHandler
from django.utils.connection import ConnectionProxy
from psycopg.rows import dict_row
from server_jobs import Batch, JobHandle
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.django_settings import configure_django
from tests.runtime.example_jobs import Text, TextJob


@dataclass(frozen=True)
class Seat:
    """A transaction as `later_in` takes it, and what its application does with it. The functions may be async."""

    transaction: Any
    execute: Callable[[str], Any]
    commit: Callable[[], Any]
    rollback: Callable[[], Any]
    run: Callable[[Any], Any] = lambda value: value

    @classmethod
    def of(cls, transaction: Any, execute: Callable[[str], Any] | None = None) -> Seat:
        """Return the seat of a connection with the usual methods."""
        return cls(transaction, execute or transaction.execute, transaction.commit, transaction.rollback)

    def waiting(self, run: Callable[[Any], Any]) -> Seat:
        """Return this async seat with functions that wait."""
        return Seat(
            self.transaction,
            lambda sql: run(self.execute(sql)),
            lambda: run(self.commit()),
            lambda: run(self.rollback()),
            run,
        )

    def later(self, job: TextJob, text: str = "hello", **options: Any) -> JobHandle[Text]:
        """Enqueue a job in the transaction."""
        return cast("JobHandle[Text]", self.run(job.later_in(self.transaction, {"text": text}, **options)))

    def later_many(self, job: TextJob, texts: Sequence[str], **options: Any) -> Batch[Text]:
        """Enqueue many jobs in the transaction."""
        batch = job.later_many_in(self.transaction, [{"text": text} for text in texts], **options)
        return cast("Batch[Text]", self.run(batch))


# --- sqlite3 and aiosqlite --------------------------------------------------------------------------------------------


@contextmanager
def in_sqlite3(url: str) -> Iterator[Seat]:
    with closing(sqlite3.connect(path_of(url))) as connection:
        yield Seat.of(connection)


@contextmanager
def in_sqlite3_with_factories(url: str) -> Iterator[Seat]:
    with closing(sqlite3.connect(path_of(url), detect_types=sqlite3.PARSE_DECLTYPES)) as connection:
        connection.row_factory = lambda _cursor, row: dict(enumerate(row))
        connection.text_factory = bytes
        yield Seat.of(connection)


@asynccontextmanager
async def in_aiosqlite(url: str) -> AsyncIterator[Seat]:
    async with aiosqlite.connect(path_of(url)) as connection:
        connection.row_factory = sqlite3.Row
        yield Seat.of(connection)


# --- psycopg and asyncpg ----------------------------------------------------------------------------------------------


@contextmanager
def in_psycopg(url: str) -> Iterator[Seat]:
    with closing(psycopg.connect(url)) as connection:
        yield Seat.of(connection)


@contextmanager
def in_psycopg_with_factories(url: str) -> Iterator[Seat]:
    opened = psycopg.Connection[Any].connect(url, row_factory=dict_row, cursor_factory=psycopg.RawCursor)
    with closing(opened) as connection:
        yield Seat.of(connection)


@asynccontextmanager
async def in_async_psycopg(url: str) -> AsyncIterator[Seat]:
    connection = await psycopg.AsyncConnection[Any].connect(url, row_factory=dict_row)
    yield Seat.of(connection)
    await connection.close()


async def _of_asyncpg(connection: Any) -> Seat:
    """Return a seat with an open transaction. Another one follows its end."""
    open_ones = [connection.transaction()]
    await open_ones[0].start()

    async def end(name: str) -> None:
        await getattr(open_ones.pop(), name)()
        open_ones.append(connection.transaction())
        await open_ones[0].start()

    return Seat(connection, connection.execute, lambda: end("commit"), lambda: end("rollback"))


@asynccontextmanager
async def in_asyncpg(url: str) -> AsyncIterator[Seat]:
    connection = await asyncpg.connect(url)
    await connection.set_type_codec("json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    yield await _of_asyncpg(connection)
    await connection.close()


@asynccontextmanager
async def in_pool_of_asyncpg(url: str) -> AsyncIterator[Seat]:
    async with asyncpg.create_pool(url, min_size=1) as pool:
        connection = await pool.acquire()
        yield await _of_asyncpg(connection)
        await pool.release(connection)


# --- SQLAlchemy -------------------------------------------------------------------------------------------------------


@contextmanager
def _engine(url: str, driver: str) -> Iterator[Engine]:
    engine = create_engine(url.replace("://", f"+{driver}://"))
    yield engine
    engine.dispose()


@asynccontextmanager
async def _async_engine(url: str, driver: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url.replace("://", f"+{driver}://"))
    yield engine
    await engine.dispose()


def _of_sqlalchemy(transaction: Any) -> Seat:
    return Seat.of(transaction, lambda sql: transaction.execute(text(sql)))


@contextmanager
def in_connection(url: str) -> Iterator[Seat]:
    with _engine(url, "pysqlite") as engine, engine.connect() as connection:
        yield _of_sqlalchemy(connection)


@contextmanager
def in_session(url: str) -> Iterator[Seat]:
    with _engine(url, "psycopg") as engine, Session(engine) as session:
        yield _of_sqlalchemy(session)


@contextmanager
def in_scoped_session(url: str) -> Iterator[Seat]:
    with _engine(url, "pysqlite") as engine:
        session = scoped_session(sessionmaker(engine))
        yield _of_sqlalchemy(session)
        session.remove()


@asynccontextmanager
async def in_async_connection(url: str) -> AsyncIterator[Seat]:
    async with _async_engine(url, "asyncpg") as engine, engine.connect() as connection:
        yield _of_sqlalchemy(connection)


@asynccontextmanager
async def in_async_session(url: str) -> AsyncIterator[Seat]:
    async with _async_engine(url, "aiosqlite") as engine, AsyncSession(engine) as session:
        yield _of_sqlalchemy(session)


@asynccontextmanager
async def in_async_scoped_session(url: str) -> AsyncIterator[Seat]:
    async with _async_engine(url, "psycopg") as engine:
        session = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: None)
        yield _of_sqlalchemy(session)
        await session.remove()


# --- Django -----------------------------------------------------------------------------------------------------------


@contextmanager
def django_connection(url: str) -> Iterator[Any]:
    """Yield a connection of Django that is not in a transaction."""
    configure_django()
    place = make_url(url)
    settings: dict[str, object] = {"ENGINE": f"django.db.backends.{place.drivername}", "NAME": place.database}
    if place.drivername == "sqlite":
        settings["ENGINE"] = "django.db.backends.sqlite3"
    else:
        settings |= {"USER": place.username, "PASSWORD": place.password, "HOST": place.host, "PORT": place.port}
    connections = ConnectionHandler({"default": settings})
    yield ConnectionProxy(connections, "default")
    connections.close_all()


@contextmanager
def in_django(url: str) -> Iterator[Seat]:
    with django_connection(url) as connection:
        connection.set_autocommit(False)

        def execute(sql: str) -> None:
            with connection.cursor() as cursor:
                cursor.execute(sql)

        yield Seat.of(connection, execute)


# --- all of them ------------------------------------------------------------------------------------------------------

Opening = Callable[[str], AbstractContextManager[Seat]] | Callable[[str], AbstractAsyncContextManager[Seat]]

OPENINGS: Mapping[str, tuple[str, Opening]] = {
    "sqlite3": ("sqlite", in_sqlite3),
    "sqlite3-factories": ("sqlite", in_sqlite3_with_factories),
    "aiosqlite": ("sqlite", in_aiosqlite),
    "psycopg": ("postgresql", in_psycopg),
    "psycopg-factories": ("postgresql", in_psycopg_with_factories),
    "psycopg-async": ("postgresql", in_async_psycopg),
    "asyncpg": ("postgresql", in_asyncpg),
    "asyncpg-pool": ("postgresql", in_pool_of_asyncpg),
    "sqlalchemy-connection-sqlite": ("sqlite", in_connection),
    "sqlalchemy-session-psycopg": ("postgresql", in_session),
    "sqlalchemy-scoped-session-sqlite": ("sqlite", in_scoped_session),
    "sqlalchemy-async-connection-asyncpg": ("postgresql", in_async_connection),
    "sqlalchemy-async-session-aiosqlite": ("sqlite", in_async_session),
    "sqlalchemy-async-scoped-session-psycopg": ("postgresql", in_async_scoped_session),
    "django-sqlite": ("sqlite", in_django),
    "django-postgresql": ("postgresql", in_django),
}
"""Each seat with its kind of database."""


# --- outside a transaction --------------------------------------------------------------------------------------------


@contextmanager
def sqlite3_in_autocommit(url: str) -> Iterator[Seat]:
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as connection:
        yield Seat.of(connection)


@contextmanager
def psycopg_in_autocommit(url: str) -> Iterator[Seat]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield Seat.of(connection)


@asynccontextmanager
async def asyncpg_without_transaction(url: str) -> AsyncIterator[Seat]:
    connection = await asyncpg.connect(url)
    yield Seat(connection, connection.execute, connection.reset, connection.reset)
    await connection.close()


@contextmanager
def sqlalchemy_in_autocommit(url: str) -> Iterator[Seat]:
    with _engine(url, "psycopg") as engine, engine.connect() as connection:
        yield _of_sqlalchemy(connection.execution_options(isolation_level="AUTOCOMMIT"))


@contextmanager
def django_outside_atomic(url: str) -> Iterator[Seat]:
    with django_connection(url) as connection:
        yield Seat.of(connection, connection.cursor)


AUTOCOMMITS: Mapping[str, tuple[str, Opening]] = {
    "sqlite3": ("sqlite", sqlite3_in_autocommit),
    "psycopg": ("postgresql", psycopg_in_autocommit),
    "asyncpg": ("postgresql", asyncpg_without_transaction),
    "sqlalchemy": ("postgresql", sqlalchemy_in_autocommit),
    "django": ("sqlite", django_outside_atomic),
}


@contextmanager
def seated(opening: Opening, url: str) -> Iterator[Seat]:
    """Yield the seat of an application on this database."""
    opened = opening(url)
    if isinstance(opened, AbstractContextManager):
        with opened as seat:
            yield seat
        return
    with asyncio.Runner() as runner:

        def run(value: Awaitable[Any]) -> Any:
            async def awaited() -> Any:
                return await value

            return runner.run(awaited())

        seat = run(opened.__aenter__())
        yield seat.waiting(run)
        run(opened.__aexit__(None, None, None))


def path_of(url: str) -> str:
    """Return the file of a SQLite URL."""
    return url.removeprefix("sqlite:///")
