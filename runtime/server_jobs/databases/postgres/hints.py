"""LISTEN and NOTIFY as hints for new jobs. Errors are ignored, because workers poll as well. Where the server, or a
proxy before it, refuses one of them, it is not tried again.

An announcement does not name jobs. It has its own transaction, because PostgreSQL commits transactions with a NOTIFY
one after another.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from ...domain.interfaces import POSTGRES_CHANNEL, Statement, Wake
from ...errors import DatabaseError
from .driver import DriverConnection
from .errors import is_refused, text_of
from .servers import Servers

_logger = logging.getLogger("server_jobs")

# A hint need not survive a crash, so its commit does not wait for the disk.
NOTIFY = Statement(
    f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{POSTGRES_CHANNEL}', '')", writes=True
)

APART = 0.005
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
FINISH_SECONDS = 2.0


class Announcer:
    """Sends announcements: the first at once, the ones of the next few milliseconds together."""

    def __init__(self, send: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._wanted = False
        self._is_refused = False
        self._task: asyncio.Task[None] | None = None

    def announce(self) -> None:
        """As in `Database`."""
        if self._is_refused:
            return
        self._wanted = True
        if not _goes_on(self._task):
            self._task = asyncio.get_running_loop().create_task(self._work(), name="server-jobs-announce")

    async def finish(self) -> None:
        """Send pending announcements, if this is fast. An ending event loop has cancelled the task."""
        if self._wanted:
            self.announce()
        if self._task is not None and _goes_on(self._task):
            await asyncio.wait([self._task], timeout=FINISH_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])  # so that the pool gets its connection back

    async def _work(self) -> None:
        while self._wanted and not self._is_refused:
            self._wanted = False
            try:
                await self._send()
            except DatabaseError as error:
                self._is_refused = is_refused(error.__cause__)
                level = logging.INFO if self._is_refused else logging.DEBUG
                _logger.log(level, "workers find new jobs by polling, because they are not announced: %s", error)
            except asyncio.CancelledError:
                self._wanted = True
                raise
            await asyncio.sleep(APART)


class Listener:
    """Listens on its own connection while somebody watches. Connects again after a loss."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._connection: DriverConnection | None = None
        self._wakes: list[Wake] = []
        self._task: asyncio.Task[None] | None = None
        self._pause = FIRST_PAUSE

    def watch(self, wake: Wake) -> Callable[[], None]:
        """As in `Database`."""
        self._wakes.append(wake)
        if not _goes_on(self._task):
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="server-jobs-listen")

        def end() -> None:
            if wake in self._wakes:
                self._wakes.remove(wake)
            if not self._wakes and self._task is not None:
                self._task.cancel()

        return end

    def connect_again(self) -> None:
        """Listen on a new connection, because another connection was lost and this one may be dead too."""
        if self._connection is not None:
            self._connection.terminate()

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _listen(self) -> None:
        while True:
            try:
                self._connection = connection = (await self._servers.connect()).driver
            except DatabaseError as error:
                _logger.debug("cannot listen: %s", error)
            else:
                try:
                    if not await self._listen_on(connection):
                        return
                finally:
                    self._connection = None
                    connection.terminate()
            pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreads load only

    async def _listen_on(self, connection: DriverConnection) -> bool:
        """Pass on notifications until the connection ends. Return False if the server cannot send any."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda *_: ended.set())
        try:
            if await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid():
                _logger.info(
                    "%s is a pooler, which passes no notifications on: new jobs are found by polling",
                    self._servers.place,
                )
                return False
            await connection.add_listener(POSTGRES_CHANNEL, lambda *_: self._wake())
        except Exception as error:  # noqa: BLE001  only a hint is missing
            if is_refused(error):
                _logger.info(
                    "%s does not allow LISTEN (%s): new jobs are found by polling", self._servers.place, text_of(error)
                )
                return False
            _logger.debug("cannot listen: %s", error)
            return True
        self._pause = FIRST_PAUSE
        self._wake()  # for jobs stored without a listener
        await ended.wait()
        return True

    def _wake(self) -> None:
        for wake in tuple(self._wakes):
            wake(is_for_jobs=True)


def _goes_on(task: asyncio.Task[None] | None) -> bool:
    """Whether the task continues in the running event loop."""
    return (
        task is not None and not task.done() and not task.cancelling() and task.get_loop() is asyncio.get_running_loop()
    )
