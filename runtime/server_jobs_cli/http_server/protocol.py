"""One connection: HTTP/1.1 within limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from server_jobs_http.body import LARGEST_BODY
from server_jobs_http.places import CALLER_IS_KNOWN
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .limits import ConnectionLimits, OpenConnections

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_MOST_UNKNOWN_REQUESTS = 10  # a browser needs four for the page to sign in
_LENGTHS = {b"content-length", b"transfer-encoding"}
_READ_AT_ONCE = 32 * 1024  # asyncio reads 256 KiB, which wait in memory while an earlier request is answered
_MOST_UNKNOWN_BYTES = 2 * LARGEST_BODY  # a refused caller gets its answer after the whole body was sent
_CHUNK = re.compile(rb"\r\n[0-9A-Fa-f]{1,20}(?=[;\r \t])")
_MOST_CHUNKS = 20_000  # of one request; parsing them takes some 70 ms


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
