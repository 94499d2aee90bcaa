"""HTTP/1.1 connections of `server-jobs serve`: uvicorn's protocol with time limits for slow and idle clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long a client may take, in seconds, and how many connections may be open."""

    request: float = 10.0
    """Time for the headers of a request: from the start of the connection, or from the end of the last response."""
    reading: float = 30.0
    """Time without any progress in which a client may leave a response unread."""
    connections: int = 1000


class OpenConnections:
    """The connections of a server; those that wait for the headers of a request are in the order of their waiting."""

    def __init__(self) -> None:
        self._open: set[LimitedProtocol] = set()
        self._waiting: dict[LimitedProtocol, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: LimitedProtocol) -> None:
        """Count a connection."""
        self._open.add(connection)

    def remove(self, connection: LimitedProtocol) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def set_waiting(self, connection: LimitedProtocol, *, is_waiting: bool) -> None:
        """Note whether a connection waits for a request."""
        self._waiting.pop(connection, None)
        if is_waiting and connection in self._open:
            self._waiting[connection] = None

    def drop_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for a request; False if none waits."""
        connection = next(iter(self._waiting), None)
        if connection is None:
            return False
        del self._waiting[connection]
        connection.abort()
        return True


class LimitedProtocol(H11Protocol):
    """One connection. It is closed if its client is slower than `limits` allow.

    The time for a body is limited by the routes, which know whether they read one.
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
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._connections.remove(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close the connection at once, without sending what is buffered."""
        self.transport.abort()

    def _timed(self, app: ASGIApp) -> ASGIApp:
        """The application, with a limit for each send and a note of when requests begin and end."""

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            self._requests += 1
            self._cancel_deadline()
            self._connections.set_waiting(self, is_waiting=False)
            try:
                await app(scope, receive, self._limited(send))
            finally:
                self._requests -= 1
                if not self._requests:
                    self._wait_for_request()

        return timed

    def _limited(self, send: Send) -> Send:
        async def limited(message: Message) -> None:
            try:
                async with asyncio.timeout(self._limits.reading):
                    await send(message)
            except TimeoutError:
                self.abort()  # the application learns of it by `http.disconnect`

        return limited

    def _wait_for_request(self) -> None:
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
