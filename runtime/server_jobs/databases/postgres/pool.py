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
from ..waiting import WAIT_SECONDS, WaitingCalls
from .connection import Call, PostgresConnection
from .driver import Session
from .errors import FullServerError, LostStatementError
from .servers import Servers
from .watchdog import Watchdog

_logger = logging.getLogger("server_jobs")

_CLOSE_SECONDS = 2

_FULL_SECONDS = 1.0
"""Seconds for which the pool makes do with its open connections after the server refused another one."""


class Pool:
    """A pool of a few connections, opened when needed. Calls `lost` when a connection broke.

    Calls that may wait for locks cannot use the last connection, so that leases are always renewed.

    A call has one deadline for its wait and its connect: while the server gives no sign of life, every call fails
    within 10 s, whatever their number. If the server is full, calls share the connections that are open.
    """

    def __init__(self, servers: Servers, max_connections: int, lost: Callable[[], None]) -> None:
        self._servers = servers
        self._lost = lost
        # An attempt to connect may use its whole time: its own error says more than the end of the wait.
        self._patience = max(WAIT_SECONDS, servers.url.connect_seconds + 0.5)
        self._waiting = WaitingCalls(servers.place, self._patience)
        self._watchdog = Watchdog(servers, self._waiting.note_life)
        self._loop = asyncio.get_running_loop()
        self._idle: list[PostgresConnection] = []
        self._slots = asyncio.Semaphore(max_connections)
        self._slots_to_wait_in = asyncio.Semaphore(max(1, max_connections - 1))
        self._finishing: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_away = False
        self._full_until = 0.0
        self._ended = asyncio.Event()
        """Set for a moment when a call ends."""

    @property
    def is_of_this_loop(self) -> bool:
        """Whether the pool belongs to the running event loop."""
        return self._loop is asyncio.get_running_loop()

    async def connect(self) -> None:
        """Connect once. Concurrent calls share the connections of the pool. Raises `DatabaseError`."""
        async with AsyncExitStack() as slot:
            self._put_back(await self._connection_in(slot, ()))

    async def run(self, calls: Sequence[Call], *, prepared: bool) -> Sequence[Sequence[Row]]:
        """Like `Database.run`, without repetition."""
        async with AsyncExitStack() as slot:
            connection = await self._connection_in(slot, calls)
            self._watchdog.begin(connection)
            try:
                rows = await connection.run(calls, prepared=prepared)
            except (DatabaseUnreachableError, LostStatementError) as error:
                connection.terminate()
                if isinstance(error, DatabaseUnreachableError):
                    self._note_loss(error)
                if connection.is_given_up:
                    self._waiting.note_silence()
                raise
            except ServerJobsError:
                self._waiting.note_life()
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
                self._ended.set()
                self._ended.clear()
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

    async def _connection_in(self, slot: AsyncExitStack, calls: Sequence[Call]) -> PostgresConnection:
        """Wait for a slot, and return an idle connection or a new one. Raises `DatabaseError`."""
        may_wait = any(statement.may_wait for statement, _ in calls)
        began = None
        if self._slots.locked() or (may_wait and self._slots_to_wait_in.locked()):
            began = self._loop.time()
            async with self._waiting.limited(began):
                await self._enter(slot, may_wait)
        else:
            await self._enter(slot, may_wait)
        return self._idle_connection(calls) or await self._new_connection_in(slot, calls, began or self._loop.time())

    async def _new_connection_in(self, slot: AsyncExitStack, calls: Sequence[Call], began: float) -> PostgresConnection:
        """Connect. If the server is full, wait for a connection that another call uses."""
        while True:
            if not self._watchdog.is_busy or self._full_until <= self._loop.time() < began + self._patience:
                try:
                    return await self._connect_in(slot, began)
                except FullServerError:
                    if not self._has_connections:
                        raise
                    self._full_until = self._loop.time() + _FULL_SECONDS
            else:
                async with self._waiting.limited(began):
                    await self._ended.wait()
            if (connection := self._idle_connection(calls)) is not None:
                return connection

    @property
    def _has_connections(self) -> bool:
        return bool(self._idle) or self._watchdog.is_busy

    async def _enter(self, slot: AsyncExitStack, may_wait: bool) -> None:
        if may_wait:
            await slot.enter_async_context(self._slots_to_wait_in)
        await slot.enter_async_context(self._slots)

    def _idle_connection(self, calls: Sequence[Call]) -> PostgresConnection | None:
        """Return the idle connection used last, preferably one that has prepared these calls.

        Planning a claim costs the server as much as claiming a hundred jobs.
        """
        if len(self._idle) > 1:
            self._idle.sort(key=lambda connection: connection.has_prepared(calls))  # stable
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.terminate()
        return None

    def _connection(self, session: Session) -> PostgresConnection:
        return PostgresConnection(session, self._servers.place)

    async def _connect_in(self, slot: AsyncExitStack, began: float) -> PostgresConnection:
        connecting = asyncio.create_task(self._servers.connect(), name="server-jobs-connect")
        try:
            async with asyncio.timeout_at(began + self._patience):
                return self._connection(await self._connected(slot, connecting))
        except TimeoutError:
            self._note_loss(error := self._waiting.overdue())
            raise error from None
        except DatabaseUnreachableError as error:
            if isinstance(error, FullServerError) and self._has_connections:
                raise
            self._note_loss(error)
            if not self._watchdog.is_busy:  # nobody gets an answer
                self._waiting.give_up(error)
            raise

    async def _connected(self, slot: AsyncExitStack, connecting: asyncio.Task[Session]) -> Session:
        try:
            return await shielded(connecting)
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
        self._watchdog.is_suspicious = True
        if not self._is_away:
            self._is_away = True
            _logger.warning("%s", error)

    def _note_success(self) -> None:
        self._waiting.note_life()
        if self._is_away:
            self._is_away = self._watchdog.is_suspicious = False
            _logger.info("the database %s is back", self._servers.place)


async def _close(connection: PostgresConnection) -> None:
    try:
        await connection.driver.close(timeout=_CLOSE_SECONDS)
    except BaseException as error:
        connection.terminate()
        if not isinstance(error, Exception):  # cancelled: there is no need to wait for the end
            raise
