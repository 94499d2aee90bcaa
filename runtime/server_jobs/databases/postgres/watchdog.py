"""Find connections that no longer answer, by asking the server on another connection whether it works on the call.

TCP notices a dead host, but not a stopped process or a proxy that forwards nothing. A time limit alone would also end
calls that are slow for a good reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import groupby

from ...errors import DatabaseError
from .connection import PostgresConnection
from .driver import Session
from .errors import SilentServerError
from .network import Address
from .servers import Servers

LOOK_AFTER = 1.5
"""Seconds that a statement may take before the watchdog checks the server."""

LOOK_SECONDS = 3.0
"""Seconds that the server may take to answer that check."""

STUCK_AFTER = 4.0
"""Seconds that the server may be idle while the call waits: a proxy may still have the rest of a large statement."""

_INTERVAL = 0.5

# A backend that is idle during a call has sent its answer, or never received the statement.
_BACKENDS = """
SELECT pg_backend_pid() AS me, pid, state LIKE 'idle%' AS is_idle FROM (SELECT 1) AS one
  LEFT JOIN pg_stat_activity ON usename = current_user AND pid = ANY (CAST(CAST($1 AS text) AS int[]))
"""


class Watchdog:
    """Ends connections whose server is dead, so that their calls fail within seconds.

    While calls are answered in time, it costs only a timer. Calls `alive` when the server works on a late call.
    """

    def __init__(self, servers: Servers, alive: Callable[[], None]) -> None:
        self._servers = servers
        self._alive = alive
        self.is_suspicious = False
        """Whether the last connection was lost, so that the next calls are checked without a delay."""
        self._loop = asyncio.get_running_loop()
        self._busy: set[PostgresConnection] = set()
        self._idle: dict[PostgresConnection, tuple[tuple[float, int], float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a call uses a connection."""
        return bool(self._busy)

    def begin(self, connection: PostgresConnection) -> None:
        """Watch a connection while a call uses it."""
        self._busy.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_INTERVAL if self.is_suspicious else LOOK_AFTER, self._tick)

    def end(self, connection: PostgresConnection) -> None:
        """Stop watching it."""
        self._busy.discard(connection)
        if self._idle:
            self._idle.pop(connection, None)

    async def close(self) -> None:
        """Stop watching every connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None and not self._looking.done():
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _tick(self) -> None:
        self._timer = None
        if not self._busy:
            return
        self._timer = self._loop.call_later(_INTERVAL, self._tick)
        if self._looking is None or self._looking.done():
            late = list(self._waiting(self._loop.time() - (0 if self.is_suspicious else LOOK_AFTER)))
            if late:
                self._looking = self._loop.create_task(self._look(late), name="server-jobs-look")

    def _waiting(self, since: float) -> Iterator[PostgresConnection]:
        """Yield the connections whose statement was sent at that time or earlier."""
        return (one for one in self._busy if one.waits_since is not None and one.waits_since <= since)

    async def _look(self, late: list[PostgresConnection]) -> None:
        late.sort(key=_address_order)
        for _, group in groupby(late, key=_address_order):
            connections = list(group)
            await self._look_at(connections[0].session.address, connections)

    async def _look_at(self, address: Address, connections: list[PostgresConnection]) -> None:
        began = self._loop.time()
        sent = {connection: connection.waits_since for connection in connections}
        try:
            session = await self._servers.connect_again(address, LOOK_SECONDS)
        except SilentServerError:
            self._end_all(address, began)
            return
        except DatabaseError:
            self._alive()
            return  # the server answers, although it accepts no more connections
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                idle, gone = await _backends(session, connections)
        except TimeoutError:
            self._end_all(address, began)
            return
        finally:
            session.driver.terminate()
        if len(idle) + len(gone) < len(connections):
            self._alive()
        for one in gone:
            if one.waits_since == sent[one]:
                one.give_up("the server no longer knows it")
        for one in idle:
            if one.waits_since == sent[one] and self._is_stuck(one):
                one.give_up("the server is idle, and its answer does not arrive")

    def _end_all(self, address: Address, began: float) -> None:
        """End every connection to that address that has waited since then."""
        self._servers.note_silent(address)
        for one in list(self._waiting(began)):
            if one.session.address == address:
                one.give_up(f"the server has not answered for {self._loop.time() - (one.waits_since or began):.0f} s")

    def _is_stuck(self, connection: PostgresConnection) -> bool:
        """Return whether the backend has been idle for long, with the same number of bytes still to send."""
        if connection.waits_since is None:
            return False
        now, state = self._loop.time(), (connection.waits_since, connection.session.network.unsent())
        before, since = self._idle.get(connection, (state, now))
        since = since if state == before else now
        self._idle[connection] = (state, since)
        return now - since >= STUCK_AFTER


async def _backends(
    session: Session, connections: list[PostgresConnection]
) -> tuple[list[PostgresConnection], list[PostgresConnection]]:
    """Return the connections with an idle backend, and those without a backend. A pooler hides all backends."""
    # Since the look began, the call of a connection may have ended, and the connection with it.
    by_pid = {one.driver.get_server_pid(): one for one in connections if not one.driver.is_closed()}
    if not by_pid:
        return [], []
    try:
        rows = await session.driver.fetch(_BACKENDS, f"{{{','.join(map(str, by_pid))}}}")
    except TimeoutError:
        raise
    except Exception:  # noqa: BLE001  it answers, whatever it says
        return [], []
    if rows[0]["me"] != session.driver.get_server_pid():
        return [], []
    found = {row["pid"]: row["is_idle"] for row in rows}
    return (
        [one for pid, one in by_pid.items() if found.get(pid)],
        [one for pid, one in by_pid.items() if pid not in found],
    )


def _address_order(connection: PostgresConnection) -> str:
    return str(connection.session.address)
