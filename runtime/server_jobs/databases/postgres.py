"""PostgreSQL through asyncpg: a few connections, each call one transaction on one of them.

Works through poolers in transaction mode: no call leaves anything in a session that another one needs. Prepared
statements are named by their text, so that a name means the same on whichever connection of the server it is used;
where a pooler loses them nevertheless, the calls go on without.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from ..errors import DatabaseError
from ..ports import Row
from .postgres_connection import (
    Call,
    ConnectionLostError,
    LostStatementError,
    PooledStatementError,
    PostgresConnection,
    RepeatableError,
    connect,
)
from .postgres_hints import NOTIFY, Announcer, Listener
from .postgres_url import driver_url, shown_place

_logger = logging.getLogger("server_jobs")

_TRIES = 10  # of a transaction that PostgreSQL undoes for the sake of others


class PostgresDatabase:
    """A PostgreSQL database by its URL.

    Connections are opened when they are needed, up to `max_connections`; one more listens for announcements while
    anybody watches. A connection that broke is replaced by the next call; the call under way raises `DatabaseError`,
    and whether it was committed is unknown.
    """

    name = "postgresql"
    now = "statement_timestamp()"

    def __init__(self, url: str, *, max_connections: int = 4) -> None:
        self._url = driver_url(url)
        self._max_connections = max_connections
        self._idle: list[PostgresConnection] = []
        self._slots = asyncio.Semaphore(max_connections)
        self._closing: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._is_away = False
        self._prepares = True
        self._announcer = Announcer(self._notify)
        self._listener = Listener(self._url)

    @property
    def shown_url(self) -> str:
        """Where it is, without the password."""
        return shown_place(self._url)

    async def open(self) -> None:
        """As in `Database`. Connects once, so that a wrong URL is noticed here."""
        if not self._is_open:
            self._slots = asyncio.Semaphore(self._max_connections)
            self._idle.append(PostgresConnection(await connect(self._url), self._url))
            self._is_open = True

    async def close(self) -> None:
        """As in `Database`. What was announced is sent first."""
        if not self._is_open:
            return
        await self._announcer.finish()
        await self._listener.stop()
        self._is_open = False
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(_close, idle), *self._closing)

    async def run(self, *calls: Call) -> Sequence[Sequence[Row]]:
        """As in `Database`. Runs a transaction again that was undone because of a deadlock or a race."""
        if not self._is_open:
            raise DatabaseError(f"the database {self.shown_url} is not open; call `open()` (or `initialize()`) first")
        for _ in range(_TRIES - 1):
            try:
                return await self._run_once(calls)
            except RepeatableError:
                await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311  spreads load only
            except PooledStatementError as error:
                self._prepare_no_more(error)
            except LostStatementError:
                pass
        return await self._run_once(calls)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._listener.watch(wake)

    def announce(self) -> None:
        self._announcer.announce()

    async def _run_once(self, calls: Sequence[Call]) -> Sequence[Sequence[Row]]:
        async with self._slots:
            connection = await self._connection()
            try:
                rows = await connection.run(calls, prepared=self._prepares)
            except (ConnectionLostError, LostStatementError) as error:
                connection.terminate()
                if isinstance(error, ConnectionLostError):
                    self._note_loss(error)
                raise
            except DatabaseError:
                self._put_back(connection)
                raise
            except BaseException:  # cancelled, perhaps in the middle of an answer: the driver asks the server to stop
                self._closing.add(task := asyncio.create_task(_close(connection)))
                task.add_done_callback(self._closing.discard)
                raise
            self._put_back(connection)
            return rows

    async def _connection(self) -> PostgresConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        try:
            driver = await connect(self._url)
        except ConnectionLostError as error:
            self._note_loss(error)
            raise
        if self._is_away:
            self._is_away = False
            _logger.info("the database %s is back", self.shown_url)
        return PostgresConnection(driver, self._url)

    def _put_back(self, connection: PostgresConnection) -> None:
        if self._is_open and connection.is_usable:
            self._idle.append(connection)
        else:
            connection.terminate()

    def _note_loss(self, error: ConnectionLostError) -> None:
        """One line for each change of state, not for each call that fails meanwhile.

        The idle connections have most likely gone the same way: no call shall find out one by one.
        """
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()
        if not self._is_away:
            self._is_away = True
            _logger.warning("%s", error)

    def _prepare_no_more(self, error: PooledStatementError) -> None:
        if self._prepares:
            self._prepares = False
            _logger.warning("%s; from now on statements are not prepared, which is slower", error)

    async def _notify(self) -> None:
        await self.run((NOTIFY, {}))


async def _close(connection: PostgresConnection) -> None:
    try:
        await connection.driver.close(timeout=2)
    except Exception:  # noqa: BLE001  it is of no use any more, whatever ails it
        connection.terminate()
