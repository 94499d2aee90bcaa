"""Accepting connections for `server-jobs serve`: a cap, and calm behaviour when file descriptors run out.

Asyncio's own loop of accepting retries up to its backlog of 2,048 times when no descriptor is left, and logs a
traceback each time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from .http_protocol import LimitedProtocol, OpenConnections

_logger = logging.getLogger("server_jobs")

_AT_ONCE = 32
_PAUSE = 0.5
_SECONDS_BETWEEN_LINES = 60.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PROBLEM = b'{"title": "too many connections are open", "status": 503}'
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(_PROBLEM), _PROBLEM)
)
_AT_THE_CAP = "%d connections are open, the most allowed: new ones replace the oldest without a request, or get a 503"


class Listener:
    """Accepts the connections of one listening socket, at most `most` at a time.

    At the cap, the connection that has waited longest for a request makes room for a new one. If all connections have a
    request, such as a stream of events, the new one gets a 503.
    """

    def __init__(
        self, listening: socket.socket, make_protocol: Callable[[], LimitedProtocol], open_: OpenConnections, most: int
    ) -> None:
        self._socket = listening
        self._make_protocol = make_protocol
        self._open = open_
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._said: dict[str, float] = {}

    def start(self) -> None:
        """Accept connections, until `close`."""
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Accept no more connections."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            is_full = len(self._open) >= self._most
            if is_full:
                self._say(_AT_THE_CAP, self._most)
                if self._open.drop_longest_waiting():
                    return  # it is closed before this is called again
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                self._pause(error)
                return
            connection.setblocking(False)
            if is_full:
                _refuse(connection)
            else:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        protocol = self._make_protocol()
        self._open.add(protocol)
        task = self._loop.create_task(self._connect(protocol, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, protocol: LimitedProtocol, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # the client is gone already
            self._open.remove(protocol)
            connection.close()

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a moment. The kernel keeps new connections meanwhile."""
        self._say("a connection cannot be accepted: %s; trying again every %s s", error.strerror, _PAUSE)
        self._open.drop_longest_waiting()
        self._loop.remove_reader(self._socket)
        self._loop.call_later(_PAUSE, self.start)

    def _say(self, message: str, *values: object) -> None:
        """Log a warning, at most once a minute."""
        now = self._loop.time()
        if now >= self._said.get(message, float("-inf")) + _SECONDS_BETWEEN_LINES:
            self._said[message] = now
            _logger.warning(message, *values)


def _refuse(connection: socket.socket) -> None:
    with connection:
        try:
            connection.send(_BUSY)
        except OSError:
            return
