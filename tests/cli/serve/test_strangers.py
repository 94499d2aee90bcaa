"""Callers without a token against `server-jobs serve`: they take neither the places of others nor much memory."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.measuring import assert_seconds

from .test_serve_limits import AUTH, Server, serving

FORM = "Content-Type: application/x-www-form-urlencoded\r\nHost: localhost\r\n"
SIGN_IN = f"POST /_jobs/dashboard/sign-in HTTP/1.1\r\n{FORM}"
KINDS = {
    "no head": "",
    "part of a head": "GET /_jobs/health HTTP/1.1\r\nHost: localhost\r\nX: ",
    "a form that stops": f"{SIGN_IN}Content-Length: 1000\r\n\r\ntoken=",
    "a form in chunks": f"{SIGN_IN}Transfer-Encoding: chunked\r\n\r\n3\r\ntok\r\n",
    "a form after 100": f"{SIGN_IN}Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
    "a large form": f"{SIGN_IN}Content-Length: 1100000\r\n\r\ntoken=" + "x" * 1_000_000,
    "a large form in chunks": f"{SIGN_IN}Transfer-Encoding: chunked\r\n\r\nf4240\r\n" + "x" * 1_000_000,
    "pages that nobody reads": "GET /_jobs/dashboard/static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3000,
    "a body for a refused request": "POST /_jobs/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    + "x" * 900_000,
}


@contextmanager
def strangers(server: Server, request: str, count: int, *, pause: float = 0) -> Iterator[None]:
    """Open that many connections, send as much of a request as each takes, and keep them open.

    With a pause, the server reads each request before a later connection replaces it.
    """
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(server.connect())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(0.05)
            with suppress(OSError):
                connection.sendall(request.encode())
            time.sleep(pause)
        yield


def seconds_of_a_call(server: Server) -> float:
    """Return how long a caller with a token waits for an answer."""
    began = time.monotonic()
    assert server.get("/health").startswith("HTTP/1.1 200")
    return time.monotonic() - began


def megabytes_of(server: Server) -> float:
    """Return the resident memory of the server."""
    pages = int(Path(f"/proc/{server.process.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the usual limits of time, and few places."""
    with serving(tmp_path_factory.mktemp("serve"), "--max-connections", "20") as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_do_not_take_the_places_of_callers(small: Server, kind: str) -> None:
    with strangers(small, KINDS[kind], 40, pause=0.01):
        for _ in range(3):
            assert_seconds(seconds_of_a_call(small), 2)


def test_a_form_to_sign_in_that_stops_is_refused_after_three_seconds(small: Server) -> None:
    began = time.monotonic()
    assert small.call(KINDS["a form that stops"]).startswith("HTTP/1.1 408")
    assert 2 < time.monotonic() - began < 9


def test_a_body_that_nobody_reads_ends_its_connection(small: Server) -> None:
    sent = 0
    with small.connect() as connection, suppress(OSError):
        connection.sendall(b"POST /_jobs/trigger HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n")
        while sent < 20_000_000:
            connection.sendall(b"x" * 100_000)
            sent += 100_000

    assert sent < 10_000_000  # the buffers of the kernel take some


def test_a_connection_is_closed_after_ten_requests_of_an_unknown_caller(small: Server) -> None:
    request = "GET /_jobs/dashboard/static/icon.svg HTTP/1.1\r\nHost: a\r\n\r\n"

    assert small.call(request * 30).count("HTTP/1.1 200") == 10


@pytest.mark.parametrize(
    "head",
    [
        f"POST /_jobs/jobs/SendEmail HTTP/1.1\r\n{AUTH}Content-Type: application/json\r\n",
        "POST /_jobs/trigger HTTP/1.1\r\nHost: a\r\n",
        "GET /elsewhere HTTP/1.1\r\nHost: a\r\n",
    ],
)
@pytest.mark.parametrize(("chunk", "count"), [("1\r\n1\r\n", 9_000), ("1\r\n1\r\n", 120_000), ("1\r\n \r\n", 120_000)])
def test_a_body_in_too_many_chunks_ends_its_connection(small: Server, head: str, chunk: str, count: int) -> None:
    end = "GET /_jobs/health HTTP/1.1\r\nConnection: close\r\n" + AUTH
    sent = f"{head}Transfer-Encoding: chunked\r\n\r\n{chunk * count}0\r\n\r\n{end}\r\n"
    answers = ""
    with suppress(OSError):
        answers = small.call(sent)

    assert ('{"ok":true}' in answers) == (count == 9_000)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process and the server open some thousands of files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_strangers_take_neither_places_nor_memory(kind: str, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.get("/health")
        before = megabytes_of(server)
        with strangers(server, KINDS[kind], 1000):
            assert_seconds(sorted(seconds_of_a_call(server) for _ in range(5))[2], 2)
            assert megabytes_of(server) - before < 180
