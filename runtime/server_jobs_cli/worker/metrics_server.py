"""The HTTP server of `--metrics-port`: `/metrics`, `/live` and `/ready`.

It has an event loop and threads of its own, so that a blocked event loop of the worker is reported instead of waited
for. Anybody who reaches the port may ask, so connections, threads and time have limits.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import click

from .worker_log import EVENTS

METRICS, LIVE, READY = "/metrics", "/live", "/ready"

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS_FOR_HEAD = 3.0
_SECONDS_PER_ANSWER = 10.0
_SECONDS_TO_STOP = 1.0
_LARGEST_HEAD = 8 * 1024
_MOST_CONNECTIONS = 32
_REUSE = 5
"""An answer is used again for this many times as long as it took, so that callers together use a part of a core."""
_logger = logging.getLogger(EVENTS)


class Served(Protocol):
    """The content of the server. Its threads call the methods, each in one thread at a time."""

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
    """Answer the requests at this socket while the block runs, and close it."""
    server = _Server(socket.socket(fileno=listening.detach()), served)
    thread = threading.Thread(target=server.run, name="server-jobs-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(_SECONDS_TO_STOP)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    media_type: str = _TEXT

    def encoded(self, *, is_head: bool) -> bytes:
        """Return the whole response."""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\nServer: server-jobs\r\n"
            f"Content-Type: {self.media_type}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if is_head else self.body)


class _Content:
    """The answer of one path. Requests that come while it is made get the same one."""

    def __init__(self, make: Callable[[], _Answer]) -> None:
        self._make = make
        self._running: asyncio.Future[_Answer] | None = None
        self._until = 0.0

    async def get(self) -> _Answer:
        """Return the answer. A thread makes it, which does not keep the process from ending."""
        if self._running is None or (self._running.done() and time.monotonic() >= self._until):
            loop = asyncio.get_running_loop()
            self._running = loop.create_future()
            arguments = (loop, self._running)
            threading.Thread(target=self._run, args=arguments, name="server-jobs-metrics", daemon=True).start()
        return await asyncio.shield(self._running)

    def _run(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[_Answer]) -> None:
        began = time.monotonic()
        made = self._make()
        ended = time.monotonic()
        self._until = ended + _REUSE * (ended - began)
        with suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(answer.set_result, made)


class _Server:
    """Answers one request a connection. At the cap, a new connection replaces the oldest one without a request."""

    def __init__(self, listening: socket.socket, served: Served) -> None:
        self._listening = listening
        self._served = served
        self._open = 0
        self._waiting: dict[asyncio.StreamWriter, None] = {}
        self._contents = {
            METRICS: _Content(self._metrics),
            LIVE: _Content(lambda: _health(served.stuck, "alive")),
            READY: _Content(lambda: _health(served.unready, "ready")),
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_started = threading.Event()
        self._stopped = asyncio.Event()

    def run(self) -> None:
        """Serve until `stop`."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """End the server, from another thread. Does not wait for its answers."""
        self._has_started.wait()
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._has_started.set()
        server = await asyncio.start_server(self._answer, sock=self._listening, limit=_LARGEST_HEAD)
        await self._stopped.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _MOST_CONNECTIONS and not self._drop_oldest():
                return
            self._waiting[writer] = None
            async with asyncio.timeout(_SECONDS_FOR_HEAD):
                head = await reader.readuntil(b"\r\n\r\n")
            self._waiting.pop(writer, None)
            async with asyncio.timeout(_SECONDS_PER_ANSWER):
                method, _, rest = head.decode("latin-1").partition(" ")
                answer = await self._find(method, rest.partition(" ")[0].partition("?")[0])
                writer.write(answer.encoded(is_head=method == "HEAD"))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone, or too slow, or sends something else
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            self._open -= 1
            self._waiting.pop(writer, None)
            writer.transport.abort()

    def _drop_oldest(self) -> bool:
        """Close the connection that has waited longest for its request; False if none waits."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        del self._waiting[oldest]
        oldest.transport.abort()
        return True

    async def _find(self, method: str, path: str) -> _Answer:
        if method not in ("GET", "HEAD"):
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"the methods are GET and HEAD\n")
        content = self._contents.get(path)
        if content is None:
            return _Answer(HTTPStatus.NOT_FOUND, f"the paths are {METRICS}, {LIVE} and {READY}\n".encode())
        return await content.get()

    def _metrics(self) -> _Answer:
        try:
            return _Answer(HTTPStatus.OK, self._served.metrics(), _EXPOSITION)
        except Exception:  # a collector of the application
            _logger.exception("the metrics could not be collected", extra={"event": "metrics_failed"})
            text = b"a collector failed; the log of the worker has the error\n"
            return _Answer(HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _health(ask: Callable[[], str | None], good: str) -> _Answer:
    try:
        reason = ask()
    except Exception:  # a request must get an answer
        _logger.exception("the health could not be determined", extra={"event": "health_failed"})
        reason = "the health could not be determined; the log of the worker has the error"
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    return _Answer(status, f"{reason or good}\n".encode())
