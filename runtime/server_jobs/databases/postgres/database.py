"""The PostgreSQL adapter, on asyncpg: a few connections; each call is one transaction on one of them.

Poolers in transaction mode work, because no call depends on state of a session. The name of a prepared statement is a
hash of its text, so that it means the same on every server connection. If a pooler still loses prepared statements, the
adapter stops preparing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence

from ...domain.clock import POSTGRES_NOW
from ...domain.interfaces import Row, Wake
from ...errors import DatabaseError
from .connection import Call
from .errors import LostStatementError, PooledStatementError, RepeatableError
from .hints import NOTIFY, Announcer, Listener
from .pool import Pool
from .search_path import CallsInSchema
from .servers import Servers
from .url import PostgresUrl, parse_postgres_url

_logger = logging.getLogger("server_jobs")

_TRIES = 10  # of a transaction that PostgreSQL rolls back because of another one


class PostgresDatabase:
    """A PostgreSQL database by its URL.

    `schema` is the PostgreSQL schema of the tables; None: the first schema of the connection's search path.

    The adapter opens connections when needed, up to `max_connections`, and one more to LISTEN while somebody watches.
    If a connection breaks, the current call raises `DatabaseError` and may or may not be committed; the next call
    connects again. A call that waits too long for a lock raises `DatabaseBusyError`. Several event loops may use the
    database one after another.
    """

    name = "postgresql"
    now = POSTGRES_NOW

    def __init__(self, url: str, *, schema: str | None = None, max_connections: int = 4) -> None:
        self._servers = Servers(parse_postgres_url(url))
        self._schema = schema
        self._max_connections = max_connections
        self._pool: Pool | None = None
        self._last_words: AsyncGenerator[None] | None = None
        self._is_open = False
        self._prepares = True
        self._announcer = Announcer(self._notify)
        self._listener = Listener(self._servers)

    @property
    def url(self) -> PostgresUrl:
        """The parts of its URL."""
        return self._servers.url

    @property
    def shown_url(self) -> str:
        """The hosts and the database, without the password."""
        return self._servers.place

    async def open(self) -> None:
        """Like `Database.open`. Connects, so that a wrong URL raises here."""
        if not self._is_open:
            await (await self._here()).connect()
            self._is_open = True

    async def close(self) -> None:
        """Like `Database.close`. Sends pending announcements first."""
        if not self._is_open:
            return
        if self._pool is not None:
            await self._leave(self._pool)
        self._is_open = False

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        """Like `Database.run`. Repeats a transaction after a deadlock or a serialization failure."""
        if look is not None and not (await self.run(look))[0]:
            return [() for _ in calls]
        if self._schema is not None:
            calls = tuple(CallsInSchema(calls, self._schema))
        if not self._is_open:
            raise DatabaseError(f"the database {self.shown_url} is not open; call `open()` (or `initialize()`) first")
        for _ in range(_TRIES - 1):
            try:
                return await (await self._here()).run(calls, prepared=self._prepares)
            except RepeatableError:
                await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311  spreads load only
            except PooledStatementError as error:
                self._prepare_no_more(error)
            except LostStatementError:
                pass
        return await (await self._here()).run(calls, prepared=self._prepares)

    def watch(self, wake: Wake) -> Callable[[], None]:
        return self._listener.watch(wake)

    def announce(self) -> None:
        self._announcer.announce()

    async def _here(self) -> Pool:
        """Return the pool of the running event loop. Drop the pool of another loop."""
        if self._pool is not None and not self._pool.is_of_this_loop:
            self._pool.abandon()
            self._pool = None
        if self._pool is None:
            self._pool = Pool(self._servers, self._max_connections, self._listener.connect_again)
            self._last_words = self._leave_at_the_end(self._pool)
            await anext(self._last_words)
        return self._pool

    async def _leave_at_the_end(self, pool: Pool) -> AsyncGenerator[None]:
        """Leave the pool when the event loop ends without `close`, as in `asyncio.run(SendEmail.later(params))`.

        An event loop finishes its async generators last, after it cancelled all tasks, such as the announcement.
        """
        try:
            yield
        finally:
            await self._leave(pool)

    async def _leave(self, pool: Pool) -> None:
        if self._pool is not pool:
            return
        if pool.is_of_this_loop:
            await self._announcer.finish()
            await self._listener.stop()
            await pool.close()
        else:
            pool.abandon()
        self._pool = None

    def _prepare_no_more(self, error: PooledStatementError) -> None:
        if self._prepares:
            self._prepares = False
            _logger.warning("%s; from now on statements are not prepared, which is slower", error)

    async def _notify(self) -> None:
        await self.run((NOTIFY, {}))
