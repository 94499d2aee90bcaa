"""The start and the end of the server."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from server_jobs_http.stopping import Stopping
from starlette.types import ASGIApp

from .accepting import Listener
from .limits import ConnectionLimits, OpenConnections, within_open_files
from .protocol import LimitedProtocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds for open requests, and for handlers that ignore their cancellation. Docker kills a container after 10 s.
_GRACE = 8
_LARGEST_HEAD = 32 * 1024
_KERNEL_BUFFER = 64 * 1024


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
        self._server = _Server(config, within_open_files(limits or ConnectionLimits()))
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
