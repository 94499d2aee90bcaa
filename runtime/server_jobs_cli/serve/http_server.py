"""The server of `server-jobs serve`: uvicorn, with limits for connections, and stopped so that jobs are released."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from socket import socket

import uvicorn
from server_jobs.http.stopping import Stopping
from starlette.types import ASGIApp

from .http_listener import Listener
from .http_protocol import ConnectionLimits, LimitedProtocol, OpenConnections

_logger = logging.getLogger("server_jobs")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 10  # seconds for requests that are being answered, and for handlers that do not end when they are told to
_RESERVED_FILES = 64  # for the database and for what handlers open
_LARGEST_HEAD = 32 * 1024


class HttpServer:
    """Serves an application at one address within `limits`; `stopping` is begun at the first signal."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, stopping: Stopping, limits: ConnectionLimits | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http="h11",  # the protocol that LimitedProtocol extends, also where httptools is installed
            ws="none",
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            log_config=None,
            log_level=logging.ERROR,  # a client must not write log lines with malformed requests
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = _Server(config, _within_open_files(limits or ConnectionLimits()))
        self._stopping = stopping

    async def run(self, begun: Callable[[str], None]) -> bool:
        """Serve until SIGINT or SIGTERM; `begun` is called with the URL. False if the address cannot be used."""
        self._server.begun = begun
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            with suppress(SystemExit):  # it has said why it cannot listen
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
    begun: Callable[[str], None]

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._limits = limits
        self._open = OpenConnections()
        self._listeners: list[Listener] = []

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listeners = [self._listener_of(one) for server in self.servers for one in server.sockets]
            for listener in self._listeners:
                listener.start()
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.begun(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        for listener in self._listeners:
            listener.close()
        await super().shutdown(sockets)

    def _listener_of(self, listening: socket) -> Listener:
        """Take the accepting of connections over from asyncio, which does not let go of its socket."""
        asyncio.get_running_loop().remove_reader(listening.fileno())
        return Listener(listening.dup(), self._new_protocol, self._open, self._limits.connections)

    def _new_protocol(self) -> LimitedProtocol:
        return LimitedProtocol(
            self.config, self.server_state, self.lifespan.state, limits=self._limits, connections=self._open
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: after its own way with them the process would be over, the backend still open."""
        yield


def _within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Return the limits with no more connections than this process may have open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    most = max(files - _RESERVED_FILES, files // 2)
    if most >= limits.connections:
        return limits
    _logger.warning(
        "at most %d connections, not %d: this process may have %d open files (ulimit -n)",
        most,
        limits.connections,
        files,
    )
    return replace(limits, connections=most)
