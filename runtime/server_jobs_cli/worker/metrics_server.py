"""The HTTP server of `--metrics-port`: `/metrics`, `/live` and `/ready`.

It answers in threads, so that a blocked event loop is reported instead of waited for.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Protocol, cast

import click

from .worker_log import EVENTS

METRICS, LIVE, READY = "/metrics", "/live", "/ready"

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS_PER_REQUEST = 10.0
_SECONDS_TO_STOP = 0.1
_logger = logging.getLogger(EVENTS)


class Served(Protocol):
    """The content of the server. Its threads call the methods."""

    def metrics(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        ...

    def stuck(self) -> str | None:
        """Return why only a restart helps, as a sentence; None if it works."""
        ...

    def unready(self) -> str | None:
        """Return why no jobs are claimed, as a sentence; None while they are claimed."""
        ...


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the address; port 0 selects a free one. Raises `OSError`."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def listen_for_users(host: str, port: int) -> socket.socket:
    """Like `listen`, and log the address. Raises `click.UsageError`."""
    try:
        listening = listen(host, port)
    except OSError as error:
        raise click.UsageError(f"--metrics-port: {host}:{port} cannot be used: {error.strerror or error}") from None
    port = listening.getsockname()[1]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    _logger.info("serving %s%s, %s and %s", url, METRICS, LIVE, READY, extra={"event": "metrics_served", "url": url})
    return listening


@contextmanager
def serving(listening: socket.socket, served: Served) -> Iterator[None]:
    """Answer the requests at this socket while the block runs."""
    with _Server(listening, served) as server:
        thread = threading.Thread(
            target=server.serve_forever, args=(_SECONDS_TO_STOP,), name="server-jobs-metrics", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            server.shutdown()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, served: Served) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.served = served

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that goes away before it has the answer."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS_PER_REQUEST

    @property
    def _served(self) -> Served:
        return cast("_Server", self.server).served

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer_metrics()
            case "/live":
                self._answer_health(self._served.stuck(), "alive")
            case "/ready":
                self._answer_health(self._served.unready(), "ready")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, f"the paths are {METRICS}, {LIVE} and {READY}\n".encode())

    do_HEAD = do_GET  # noqa: N815  as the base class calls it

    def _answer_metrics(self) -> None:
        try:
            text = self._served.metrics()
        except Exception:  # a collector of the application
            _logger.exception("the metrics could not be collected", extra={"event": "metrics_failed"})
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"a collector failed; the log of the worker has the error\n")
            return
        self._answer(HTTPStatus.OK, text, _EXPOSITION)

    def _answer_health(self, reason: str | None, good: str) -> None:
        status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, f"{reason or good}\n".encode())

    def _answer(self, status: HTTPStatus, body: bytes, media_type: str = _TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "server-jobs"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class has it
        """Log nothing: a probe asks every few seconds."""
