"""`server-jobs serve` against slow, idle and numerous clients, over real sockets."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.started import Started
from tests.conformance.stores import create_sqlite_file

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
ROOT = Path(__file__).parents[3]
AUTH = f"Authorization: Bearer {TOKEN}\r\nHost: localhost\r\n"
PARAMS = {"to": ["a@example.com"], "subject": "s"}

# `server-jobs serve` with shorter time limits.
SHORTER = """
from datetime import timedelta
from server_jobs_cli.http_server import limits as module
from server_jobs_http.http_options import HttpOptions
limits = module.ConnectionLimits
module.ConnectionLimits = lambda **given: limits(request=0.5, reading=0.5, **given)
HttpOptions.__init__.__kwdefaults__["body_timeout"] = timedelta(seconds=0.5)
"""
# Print the number of garbage collections on SIGUSR1.
COUNTING = """
import gc, signal, sys
def count(*_):
    print("collections:", sum(one["collections"] for one in gc.get_stats()), file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, count)
"""
# Print the number of connections in memory on SIGUSR1, and never collect garbage.
KEEPING = """
import gc, signal, sys, weakref
from server_jobs_cli.http_server.protocol import LimitedProtocol
gc.set_threshold = lambda *_: gc.disable()
alive, made = weakref.WeakSet(), LimitedProtocol.connection_made
def note(self, transport):
    alive.add(self)
    made(self, transport)
LimitedProtocol.connection_made = note
def count(*_):
    print("connections in memory:", len(alive), file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, count)
"""
MAIN = "from server_jobs_cli import main; main()"


class Server:
    """A running server, and raw connections to it."""

    def __init__(self, process: Started, port: int) -> None:
        self.process = process
        self.port = port

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def call(self, request: str) -> str:
        """Return the whole answer to this request on a new connection."""
        with self.connect() as connection:
            connection.sendall(request.encode())
            return read_all(connection)

    def get(self, path: str) -> str:
        """Return the answer to a GET."""
        return self.call(f"GET /_jobs{path} HTTP/1.1\r\n{AUTH}Connection: close\r\n\r\n")

    def post(self, path: str, body: str) -> str:
        """Return the answer to a POST of JSON."""
        return self.call(
            f"POST /_jobs{path} HTTP/1.1\r\n{AUTH}Connection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )

    def enqueue(self, text: str = "b") -> str:
        """Return the id of a new job with that text."""
        answer = self.post("/jobs/SendEmail", json.dumps({"params": {**PARAMS, "body": text}}))
        return str(json.loads(answer.partition("\r\n\r\n")[2])["id"])


def read_all(connection: socket.socket) -> str:
    """Read until the server closes the connection."""
    read = b""
    try:
        while chunk := connection.recv(65536):
            read += chunk
    except ConnectionResetError:
        pass
    return read.decode()


@contextmanager
def serving(folder: Path, *options: str, files: int | None = None, program: str | None = None) -> Iterator[Server]:
    """Run `server-jobs serve` after that program; `files` limits its open files."""
    path = folder / "jobs.sqlite3"
    create_sqlite_file(path)

    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (program or "") + MAIN,
            "serve",
            "--port",
            "0",
            "--database",
            f"sqlite:///{path}",
            *options,
        ],
        env={**os.environ, "JOBS_TOKEN": TOKEN},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    server = Started(process)
    try:
        yield Server(server, int(server.wait_for(r"http://[\d.]+:(\d+)/_jobs")[1]))
    finally:
        server.kill()


def seconds_until_closed(connection: socket.socket) -> float:
    began = time.monotonic()
    read_all(connection)
    return time.monotonic() - began


def seconds_until_refused(connection: socket.socket, piece: bytes) -> float:
    """Send pieces of a request, ten a second, and return the seconds until the server refuses them."""
    began = time.monotonic()
    with suppress(OSError):
        while time.monotonic() - began < 8:
            connection.sendall(piece)
            time.sleep(0.1)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("serve"), program=SHORTER) as started:
        yield started


@pytest.mark.parametrize("sent", ["", "GET /_jobs/health HTTP/1.1\r\nHost: a\r\n"])
def test_a_connection_without_a_whole_head_is_closed(server: Server, sent: str) -> None:
    with server.connect() as connection:
        connection.sendall(sent.encode())
        assert 0.2 < seconds_until_closed(connection) < 5


def test_headers_that_trickle_do_not_keep_a_connection_open(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /_jobs/health HTTP/1.1\r\n")
        assert seconds_until_refused(connection, b"X-A: b\r\n") < 5


def test_an_idle_connection_is_closed_also_if_a_byte_of_the_next_request_came(server: Server) -> None:
    for next_bytes in (b"", b"G"):
        with server.connect() as connection:
            connection.sendall(f"GET /_jobs/health HTTP/1.1\r\n{AUTH}\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(next_bytes)
            assert 0.2 < seconds_until_closed(connection) < 5


def test_requests_on_one_connection_are_answered_for_longer_than_a_request_may_take(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(4):
            connection.sendall(f"GET /_jobs/health HTTP/1.1\r\n{AUTH}\r\n".encode())
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.2)


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_answered_with_408(server: Server, framing: str) -> None:
    answer = server.call(
        f"POST /_jobs/jobs/SendEmail HTTP/1.1\r\n{AUTH}Content-Type: application/json\r\n{framing}\r\n\r\n"
    )

    assert answer.startswith("HTTP/1.1 408")
    assert "connection: close" in answer


def test_an_unread_body_does_not_keep_a_connection_open(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /_jobs/trigger HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")
        assert seconds_until_refused(connection, b"x") < 5


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("POST /_jobs/trigger", 400),
        ("GET /_jobs/health", 400),
        ("POST /_jobs/dashboard/sign-in", 400),
        ("GET /_jobs/dashboard/static/icon.svg", 200),
        ("GET /_jobs/dashboard/", 303),
        ("GET /elsewhere", 404),
    ],
)
def test_after_a_request_with_two_lengths_its_connection_is_closed(
    server: Server, request_line: str, status: int
) -> None:
    answer = server.call(
        f"{request_line} HTTP/1.1\r\n{AUTH}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        f"GET /_jobs/health HTTP/1.1\r\n{AUTH}\r\n"
    )

    assert answer.startswith(f"HTTP/1.1 {status}")
    assert answer.count("HTTP/1.1") == 1


def test_a_stream_stays_open_for_longer_than_a_request_may_take(server: Server) -> None:
    job_id = server.enqueue()
    with server.connect() as stream:
        stream.sendall(f"GET /_jobs/jobs/{job_id}/events HTTP/1.1\r\n{AUTH}\r\n".encode())
        assert b"200 OK" in stream.recv(65536)
        time.sleep(1.5)
        server.call(f"POST /_jobs/jobs/{job_id}/cancel HTTP/1.1\r\n{AUTH}Connection: close\r\n\r\n")
        read = ""
        while "event: end" not in read:
            read += stream.recv(65536).decode()


@pytest.mark.slow
def test_a_client_that_reads_no_answers_is_closed(server: Server) -> None:
    job_id = server.enqueue("x" * 90_000)
    asked = 120
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /_jobs/jobs/{job_id} HTTP/1.1\r\n{AUTH}\r\n".encode() * asked)
        time.sleep(2)
        assert len(read_all(connection)) < asked * 90_000


def test_malformed_requests_write_no_log(server: Server) -> None:
    before = len(server.process.lines)
    for _ in range(20):
        assert server.call("NONSENSE\r\n\r\n").startswith("HTTP/1.1 400")
        server.call("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n")

    # Lines about the requests of other tests may come late.
    lines = [line for line in server.process.lines[before:] if "no valid token" not in line and "audit:" not in line]
    assert lines == []


def test_refused_tokens_are_counted_in_the_log_and_not_logged_one_by_one(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for _ in range(20):
            server.call("GET /_jobs/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        lines = [line for line in server.process.lines if "refused" in line]

    assert [re.sub(r"^.*(refused)", r"\1", line) for line in lines] == [
        "refused 1 request: no valid token (the last from 127.0.0.1)\n"
    ]


def test_beyond_the_cap_a_stream_stays_and_new_requests_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-connections", "20") as server, ExitStack() as stack:
        job_id = server.enqueue()
        stream = stack.enter_context(server.connect())
        stream.sendall(f"GET /_jobs/jobs/{job_id}/events HTTP/1.1\r\n{AUTH}\r\n".encode())
        assert b"200 OK" in stream.recv(65536)
        for _ in range(100):
            stack.enter_context(server.connect())
        began = time.monotonic()
        assert server.get("/health").startswith("HTTP/1.1 200")
        assert time.monotonic() - began < 5
        server.call(f"POST /_jobs/jobs/{job_id}/cancel HTTP/1.1\r\n{AUTH}Connection: close\r\n\r\n")
        read = ""
        while "event: end" not in read:
            read += stream.recv(65536).decode()
        assert sum("connections are open" in line for line in server.process.lines) == 1


def test_a_new_connection_gets_503_while_every_connection_has_a_request(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-connections", "2") as server, ExitStack() as stack:
        job_id = server.enqueue()
        stream = stack.enter_context(server.connect())
        stream.sendall(f"GET /_jobs/jobs/{job_id}/events HTTP/1.1\r\n{AUTH}\r\n".encode())
        assert b"200 OK" in stream.recv(65536)
        body = stack.enter_context(server.connect())
        body.sendall(
            f"POST /_jobs/jobs/SendEmail HTTP/1.1\r\n{AUTH}Content-Type: application/json\r\n"
            "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert b"100" in body.recv(65536)
        with server.connect() as connection:
            assert read_all(connection).startswith("HTTP/1.1 503")


def test_with_few_open_files_requests_are_answered_and_the_log_stays_small(tmp_path: Path) -> None:
    with serving(tmp_path, files=64) as server, ExitStack() as stack:
        for _ in range(128):
            stack.enter_context(server.connect())
        assert server.get("/health").startswith("HTTP/1.1 200")
        server.process.look_again()  # the log may be printed after the address
        server.process.wait_for("--max-connections is 32 instead of 1000")
        assert len(server.process.text) < 5_000


NO_CAP = """
from server_jobs_cli.http_server import server
server.within_open_files = lambda limits: limits
"""
ACCEPTED_BY_ASYNCIO = """
import asyncio, uvicorn
from server_jobs_cli.http_server import server
async def startup(self, sockets=None):
    await uvicorn.Server.startup(self, sockets)
    self.on_start(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}")
server._Server.startup = startup
"""


def test_without_a_free_descriptor_the_log_stays_small(tmp_path: Path) -> None:
    assert len(_log_without_descriptors(tmp_path, NO_CAP)) < 5_000


@pytest.mark.slow
def test_sabotage_asyncio_fills_the_log_without_a_free_descriptor(tmp_path: Path) -> None:
    assert len(_log_without_descriptors(tmp_path, NO_CAP + ACCEPTED_BY_ASYNCIO)) > 100_000


def _log_without_descriptors(folder: Path, sabotage: str) -> str:
    with serving(folder, files=48, program=sabotage) as server, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(server.connect())
        time.sleep(1)
        return server.process.text


@pytest.mark.slow
def test_sabotage_without_limits_of_time_a_connection_stays(tmp_path: Path) -> None:
    sabotaged = SHORTER.replace("request=0.5", "request=1000")
    with serving(tmp_path, program=sabotaged) as server, server.connect() as connection:
        connection.settimeout(1.5)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def collections_in(server: Server) -> int:
    """Return the number of garbage collections in the server."""
    server.process.process.send_signal(signal.SIGUSR1)
    return int(server.process.wait_for(r"collections: (\d+)")[1])


def test_a_third_of_a_million_lists_start_few_garbage_collections(tmp_path: Path) -> None:
    with serving(tmp_path, program=COUNTING) as server:
        before = collections_in(server)
        answer = server.post("/jobs/SendEmail", '{"params":{"to":[' + "[]," * 340_000 + "[]]}}")
        used = collections_in(server) - before

    assert answer.startswith("HTTP/1.1 422")
    assert used < 300  # with the settings of Python, more than 2,000 scan the lists


def connections_in_memory(server: Server) -> int:
    """Return the number of connections, open or not, in the memory of the server."""
    server.process.process.send_signal(signal.SIGUSR1)
    return int(server.process.wait_for(r"connections in memory: (\d+)")[1])


def test_a_connection_leaves_no_work_for_the_garbage_collection(tmp_path: Path) -> None:
    form = "POST /_jobs/dashboard/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1100000\r\n\r\n" + "x" * 50_000
    with serving(tmp_path, program=KEEPING) as server:
        events, jobs = (
            f"GET /_jobs{path} HTTP/1.1\r\n{AUTH}\r\n" for path in (f"/jobs/{server.enqueue()}/events", "/jobs")
        )
        for _ in range(10):
            with server.connect():
                pass
            for request in (form, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 12, events, jobs):
                with server.connect() as connection:
                    connection.sendall(request.encode())
                    connection.recv(1)
        deadline = time.monotonic() + 30
        while (kept := connections_in_memory(server)) > 5 and time.monotonic() < deadline:
            time.sleep(0.1)

    assert kept <= 5  # of 51
