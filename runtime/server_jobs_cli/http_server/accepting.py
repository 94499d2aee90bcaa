"""The acceptance of connections."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from .limits import OpenConnections
from .protocol import LimitedProtocol

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
_AT_THE_CAP = (
    "%d connections are open, which is the limit: new ones replace the oldest one without a valid token or link, "
    "or get a 503"
)


class Listener:
    """Accepts the connections of one listening socket, at most `most` at a time, also when file descriptors run out.

    Without a free descriptor, asyncio's own loop retries 2,048 times and logs a traceback each time.

    At the limit, a new connection replaces the connection that has waited longest for a request of a known caller. If
    all connections have such a request, for example a stream of events, the new one gets a 503.
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
                if self._open.drop_longest_waiting() or self._tasks:
                    return  # Try again when the dropped one is closed, or a new one is connected and waits.
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
        """Accept no connections for a moment. The kernel queues new ones."""
        self._say("cannot accept connections: %s; trying again every %s s", error.strerror, _PAUSE)
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
