"""The server of `server-jobs serve`: uvicorn with limits for connections, and a shutdown that releases jobs."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from server_jobs.http.body import LARGEST_BODY
from server_jobs.http.places import CALLER_IS_KNOWN
from server_jobs.http.stopping import Stopping
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds for open requests, and for handlers that ignore their cancellation. Docker kills a container after 10 s.
_GRACE = 8
_RESERVED_FILES = 64  # for the database, and for files that handlers open
_LARGEST_HEAD = 32 * 1024
_MOST_UNKNOWN_REQUESTS = 10  # a browser needs four for the page to sign in
_LENGTHS = {b"content-length", b"transfer-encoding"}
_KERNEL_BUFFER = 64 * 1024
_READ_AT_ONCE = 32 * 1024  # asyncio reads 256 KiB, which wait in memory while an earlier request is answered
_MOST_UNKNOWN_BYTES = 2 * LARGEST_BODY  # a refused caller gets its answer after the whole body was sent
_CHUNK = re.compile(rb"\r\n[0-9A-Fa-f]{1,20}(?=[;\r \t])")
_MOST_CHUNKS = 20_000  # of one request; parsing them takes some 70 ms
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


class HttpServer:
    """Serves an application at one address within `limits`; the first signal calls `stopping`."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, stopping: Stopping, limits: ConnectionLimits | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http="h11",  # LimitedProtocol extends h11's protocol, also if httptools is installed.
            ws="none",
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            log_config=None,
            log_level=logging.ERROR,  # malformed requests of clients must not write log lines
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = _Server(config, _within_open_files(limits or ConnectionLimits()))
        self._stopping = stopping

    async def run(self, on_start: Callable[[str], None]) -> bool:
        """Serve until SIGINT or SIGTERM. Calls `on_start` with the URL. Returns False if the address cannot be used."""
        self._server.on_start = on_start
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            with suppress(SystemExit):  # uvicorn has logged why it cannot listen.
                await self._server.serve()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        return self._server.started

    def _stop(self) -> None:
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True
        self._stopping.begin()


class _Server(uvicorn.Server):
    on_start: Callable[[str], None]

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._limits = limits
        self._open = OpenConnections()
        self._listeners: list[Listener] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listeners = [self._listener_of(one) for server in self.servers for one in server.sockets]
            for listener in self._listeners:
                listener.start()
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.on_start(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self._listeners:
            listener.close()
        await super().shutdown(sockets)

    def _listener_of(self, listening: socket.socket) -> Listener:
        """Take over accepting from asyncio, which does not release its socket."""
        asyncio.get_running_loop().remove_reader(listening.fileno())
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):  # the kernel would use megabytes for each connection
            listening.setsockopt(socket.SOL_SOCKET, buffer, _KERNEL_BUFFER)
        return Listener(listening.dup(), self._new_protocol, self._open, self._limits.connections)

    def _new_protocol(self) -> LimitedProtocol:
        return LimitedProtocol(
            self.config, self.server_state, self.lifespan.state, limits=self._limits, connections=self._open
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not handle signals here: uvicorn's handling would end the process while the backend is still open."""
        yield


def _within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Return the limits with the connections reduced to the open files that this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    most = max(files - _RESERVED_FILES, files // 2)
    if most >= limits.connections:
        return limits
    _logger.warning(
        "--max-connections is %d instead of %d: this process may have %d open files (ulimit -n)",
        most,
        limits.connections,
        files,
    )
    return replace(limits, connections=most)


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


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Time limits for clients in seconds, and the most open connections."""

    request: float = 10.0
    """Time for the headers of a request, from the start of the connection or the end of the last response; and for a
    request of an unknown caller."""
    reading: float = 30.0
    """Time without progress in which a client may leave a response unread."""
    connections: int = 1000


class OpenConnections:
    """The open connections of a server.

    A connection waits until it has a request of a known caller. Those that wait are in the order in which they were
    opened, or in which their last request of a known caller ended.
    """

    def __init__(self) -> None:
        self._open: set[LimitedProtocol] = set()
        self._waiting: dict[LimitedProtocol, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, connection: LimitedProtocol) -> bool:
        return connection in self._open

    def add(self, connection: LimitedProtocol) -> None:
        """Count a connection."""
        self._open.add(connection)

    def remove(self, connection: LimitedProtocol) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def set_waiting(self, connection: LimitedProtocol, *, is_waiting: bool) -> None:
        """Note whether a connection waits. One that waits already keeps its place."""
        if not is_waiting:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection, None)

    def drop_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for a request of a known caller; False if none waits."""
        connection = next(iter(self._waiting), None)
        if connection is None:
            return False
        del self._waiting[connection]
        connection.abort()
        return True


class LimitedProtocol(H11Protocol):
    """One connection. It is closed if its client is slower than `limits` allow.

    The routes limit the time for a body, because they know whether they read one. They tell when they know the caller.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        limits: ConnectionLimits,
        connections: OpenConnections,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.app = cast("ASGI3Application", self._timed(cast("ASGIApp", self.app)))
        self._limits = limits
        self._connections = connections
        self._requests = 0
        self._is_known = False
        self._has_two_lengths = False
        self._unknown_bytes = 0
        self._unknown_requests = 0
        self._chunks = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        cast("Any", transport).max_size = _READ_AT_ONCE
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._connections.remove(self)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # its timer refers back; uvicorn keeps it after a reset
        del self.app, self.cycle  # both refer back: without them, the memory is free now, and not after a collection

    def data_received(self, data: bytes) -> None:
        """Read, and close the connection if an unknown caller goes on sending after the answer.

        Close it for a body in too many chunks too: the parser takes as long for a chunk of one byte as for a large one.
        """
        self._unknown_bytes += 0 if self._is_known else len(data)
        self._chunks += sum(1 for _ in _CHUNK.finditer(data))
        if self._unknown_bytes > _MOST_UNKNOWN_BYTES or self._chunks > _MOST_CHUNKS:
            self.abort()
        else:
            super().data_received(data)

    def abort(self) -> None:
        """Close the connection at once, without sending what is buffered."""
        self.transport.abort()

    def _timed(self, app: ASGIApp) -> ASGIApp:
        """Wrap the application: limit the time of each send, and note when requests start and end."""

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            self._requests += 1
            self._is_known = False
            self._has_two_lengths = {name for name, _ in scope["headers"]} >= _LENGTHS
            self._unknown_bytes = 0
            self._unread = self.transport.get_write_buffer_size()
            self._set_deadline(self._limits.request, self._close_if_still_waiting)
            try:
                await app({**scope, CALLER_IS_KNOWN: self._know_caller}, receive, self._limited(send))
            finally:
                self._requests -= 1
                self._chunks = 0
                if not self._requests:
                    self._wait_for_request()

        return timed

    def _know_caller(self) -> None:
        """Serve this request for as long as the routes need."""
        self._is_known = True
        self._unknown_requests = 0
        self._cancel_deadline()
        self._connections.set_waiting(self, is_waiting=False)

    def _limited(self, send: Send) -> Send:
        async def limited(message: Message) -> None:
            try:
                async with asyncio.timeout(self._limits.reading):
                    await send(self._with_close(message))
                while self.flow.write_paused:
                    await self._wait_for_reader()
            except TimeoutError:
                self.abort()  # the application receives `http.disconnect`

        return limited

    def _with_close(self, message: Message) -> Message:
        """Close a connection after some answers to unknown callers, so that it cannot ask without end.

        Close it after a request with two lengths, because a proxy may see the next request at another place.
        """
        if message["type"] != "http.response.start":
            return message
        self._unknown_requests += 0 if self._is_known else 1
        if self._unknown_requests < _MOST_UNKNOWN_REQUESTS and not self._has_two_lengths:
            return message
        return {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}

    async def _wait_for_reader(self) -> None:
        """Wait until the client has read most of the response, so that its request lasts until then.

        Raises `TimeoutError` if the client reads nothing for some time.
        """
        unread = self.transport.get_write_buffer_size()
        try:
            async with asyncio.timeout(self._limits.reading):
                await self.flow.drain()
        except TimeoutError:
            if self.transport.get_write_buffer_size() >= unread:
                raise

    def _wait_for_request(self) -> None:
        if self not in self._connections:  # the client is gone
            return
        self._is_known = False
        if not self.transport.is_closing():
            self._connections.set_waiting(self, is_waiting=True)
        self._unread = self.transport.get_write_buffer_size()
        self._set_deadline(self._limits.request, self._close_if_still_waiting)

    def _close_if_still_waiting(self) -> None:
        """Close the connection, unless its client is still reading the last response."""
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < self._unread:
            self._unread = unread
            self._set_deadline(self._limits.request, self._close_if_still_waiting)
        else:
            self.abort()

    def _set_deadline(self, seconds: float, callback: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, callback)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
