"""The connections of one event loop to a PostgreSQL database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

from ...concurrency.tasks import shielded
from ...domain.interfaces import Row
from ...errors import DatabaseError, DatabaseUnreachableError, ServerJobsError
from .connection import Call, PostgresConnection
from .driver import Session
from .errors import LostStatementError
from .servers import Servers
from .watchdog import Watchdog

_logger = logging.getLogger("server_jobs")

_CLOSE_SECONDS = 2


class Pool:
    """A pool of a few connections, opened when needed. Calls `lost` when a connection broke.

    Calls that may wait for locks cannot use the last connection, so that leases are always renewed.
    """

    def __init__(self, servers: Servers, max_connections: int, lost: Callable[[], None]) -> None:
        self._servers = servers
        self._lost = lost
        self._watchdog = Watchdog(servers)
        self._loop = asyncio.get_running_loop()
        self._idle: list[PostgresConnection] = []
        self._slots = asyncio.Semaphore(max_connections)
        self._slots_to_wait_in = asyncio.Semaphore(max(1, max_connections - 1))
        self._finishing: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_away = False

    @property
    def is_of_this_loop(self) -> bool:
        """Whether the pool belongs to the running event loop."""
        return self._loop is asyncio.get_running_loop()

    async def connect(self) -> None:
        """Connect once. Raises `DatabaseError`."""
        self._idle.append(self._connection(await self._servers.connect()))

    async def run(self, calls: Sequence[Call], *, prepared: bool) -> Sequence[Sequence[Row]]:
        """Like `Database.run`, without repetition."""
        async with AsyncExitStack() as slot:
            if any(statement.may_wait for statement, _ in calls):
                await slot.enter_async_context(self._slots_to_wait_in)
            await slot.enter_async_context(self._slots)
            connection = self._idle_connection(calls) or await self._connect_in(slot)
            self._watchdog.begin(connection)
            try:
                rows = await connection.run(calls, prepared=prepared)
            except (DatabaseUnreachableError, LostStatementError) as error:
                connection.terminate()
                if isinstance(error, DatabaseUnreachableError):
                    self._note_loss(error)
                raise
            except ServerJobsError:
                self._put_back(connection)
                raise
            except BaseException:  # cancelled, perhaps in the middle of an answer
                if self._is_closed:  # there is no need for a clean end, and the event loop may end next
                    connection.terminate()
                else:  # the driver asks the server to stop
                    self._finish_in(slot, partial(_close, connection))
                raise
            finally:
                self._watchdog.end(connection)
            self._put_back(connection)
            self._note_success()
            return rows

    async def close(self) -> None:
        """Close idle connections. Busy connections are dropped at the end of their call."""
        self._is_closed = True
        await self._watchdog.close()
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(_close, idle))
        if self._finishing:
            _, pending = await asyncio.wait(self._finishing, timeout=_CLOSE_SECONDS)
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending)

    def abandon(self) -> None:
        """Drop all connections from another event loop. Their loop has ended or runs in another thread."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abandon()

    def _idle_connection(self, calls: Sequence[Call]) -> PostgresConnection | None:
        """Return the idle connection used last, preferably one that has prepared these calls.

        Planning a claim costs the server as much as claiming a hundred jobs.
        """
        self._idle.sort(key=lambda connection: connection.has_prepared(calls))  # stable
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.terminate()
        return None

    def _connection(self, session: Session) -> PostgresConnection:
        return PostgresConnection(session, self._servers.place)

    async def _connect_in(self, slot: AsyncExitStack) -> PostgresConnection:
        connecting = asyncio.create_task(self._servers.connect(), name="server-jobs-connect")
        try:
            return self._connection(await shielded(connecting))
        except DatabaseUnreachableError as error:
            self._note_loss(error)
            raise
        except asyncio.CancelledError:  # the driver would log errors if it were stopped here
            self._finish_in(slot, partial(self._keep, connecting))
            raise

    async def _keep(self, connecting: asyncio.Task[Session]) -> None:
        with suppress(DatabaseError):
            self._put_back(self._connection(await connecting))

    def _put_back(self, connection: PostgresConnection) -> None:
        if connection.is_usable and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.terminate()

    def _finish_in(self, slot: AsyncExitStack, work: Callable[[], Awaitable[None]]) -> None:
        """Finish a cancelled call in the background. Its slot stays taken until then."""
        entered = slot.pop_all()

        async def finish() -> None:
            async with entered:
                await work()

        self._finishing.add(task := asyncio.create_task(finish(), name="server-jobs-finish"))
        task.add_done_callback(self._finishing.discard)

    def _note_loss(self, error: DatabaseUnreachableError) -> None:
        """Log one line per outage instead of one per failed call.

        Drop all idle connections, which are most likely lost too.
        """
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()
        self._lost()
        if not self._is_away:
            self._is_away = True
            _logger.warning("%s", error)

    def _note_success(self) -> None:
        if self._is_away:
            self._is_away = False
            _logger.info("the database %s is back", self._servers.place)


async def _close(connection: PostgresConnection) -> None:
    try:
        await connection.driver.close(timeout=_CLOSE_SECONDS)
    except BaseException as error:
        connection.terminate()
        if not isinstance(error, Exception):  # cancelled: there is no need to wait for the end
            raise
