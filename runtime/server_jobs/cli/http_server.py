"""The server of `server-jobs serve`: uvicorn, ended by a signal in a way that lets what was claimed be given back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import socket

import uvicorn
from starlette.types import ASGIApp

from ..http.stopping import Stopping

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 10  # seconds for requests that are being answered, and for handlers that do not end when they are told to


class HttpServer:
    """Serves an application at one address; `stopping` is begun at the first signal."""

    def __init__(self, app: ASGIApp, host: str, port: int, stopping: Stopping) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = _Server(config)
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

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.begun(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: after its own way with them the process would be over, the backend still open."""
        yield
