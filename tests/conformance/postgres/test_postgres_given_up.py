"""PostgreSQL connections that were given up are closed at once, however the server behaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_jobs.databases.postgres import servers as postgres_servers
from server_jobs.databases.postgres.network import Address, Network
from server_jobs.databases.postgres.servers import Servers
from server_jobs.databases.postgres.url import Host, PostgresUrl, parse_postgres_url
from server_jobs.databases.postgres.url_options import TcpOptions
from server_jobs.errors import DatabaseError

CERTIFICATE = Path(__file__).parents[2] / "examples" / "localhost.pem"
SECONDS = 5
TCP = TcpOptions()

REFUSED = "28000"  # the driver tries again without TLS
UNKNOWN = "3D000"
SILENT = None

Ends = list[bool]
"""For each connection, whether the other end closed it; False if it was still open after `SECONDS`."""


class TlsServer:
    """A server with TLS that rejects every client, or never answers, and never closes a connection itself."""

    def __init__(self, code: str | None) -> None:
        self._code = code
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(CERTIFICATE)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self.ends: Ends = []

    def serve(self, connections: int) -> None:
        """Accept that many connections."""
        for _ in range(connections):
            thread = threading.Thread(target=self._serve_one)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Wait until all connections are closed."""
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _serve_one(self) -> None:
        near, _ = self._listener.accept()
        near.settimeout(SECONDS)
        if struct.unpack("!ll", near.recv(8, socket.MSG_PEEK))[0] == 8:  # a request for TLS
            near.recv(8)
            near.sendall(b"S")
            secured = self._tls.wrap_socket(near, server_side=True)
            self._answer(secured)
            near = socket.socket(fileno=secured.detach())  # the end of TLS is not the end of the connection
            near.settimeout(SECONDS)
        else:
            self._answer(near)
        with near:
            self.ends.append(_is_closed_by_the_other(near))

    def _answer(self, near: socket.socket) -> None:
        near.recv(10_000)
        if self._code is not None:
            fields = f"SFATAL\0VFATAL\0C{self._code}\0Mnobody may\0\0".encode()
            near.sendall(b"E" + struct.pack("!l", len(fields) + 4) + fields)


def _is_closed_by_the_other(near: socket.socket) -> bool:
    try:
        while near.recv(10_000):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@contextmanager
def tls_server(code: str | None, connections: int) -> Iterator[TlsServer]:
    server = TlsServer(code)
    server.serve(connections)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize(
    ("code", "mode", "connections"),
    [(UNKNOWN, "require", 1), (UNKNOWN, "prefer", 2), (REFUSED, "prefer", 2), (SILENT, "require", 1)],
)
async def test_a_connection_with_tls_that_does_not_come_about_is_closed_at_once(
    code: str | None, mode: str, connections: int
) -> None:
    with tls_server(code, connections) as server:
        url = f"postgresql://ann@127.0.0.1:{server.port}/shop?sslmode={mode}&connect_timeout=1"
        with pytest.raises(DatabaseError):
            await Servers(parse_postgres_url(url)).connect()
        await asyncio.to_thread(server.close)
    assert server.ends == [True] * connections


async def test_additional_sockets_of_the_driver_are_closed_with_the_connection(url: str) -> None:
    """This is a request to cancel, which the driver closes only in the normal way."""
    session = await Servers(parse_postgres_url(url)).connect()
    beside, _ = await session.network.create_connection(asyncio.Protocol, "127.0.0.1", 5432)
    session.driver.terminate()
    await asyncio.sleep(0)
    assert beside.is_closing()
    await asyncio.sleep(0)


async def test_once_a_connection_has_come_about_the_attempts_before_it_are_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        network = Network(asyncio.get_running_loop(), Address(Host(host, port), socket.AF_INET, (host, port)), TCP)
        first, _ = await network.create_connection(asyncio.Protocol, host, port)
        second, _ = await network.create_connection(asyncio.Protocol, host, port)
        network.settle()
        assert (first.is_closing(), second.is_closing()) == (True, False)
        network.drop()
        assert second.is_closing()
        await asyncio.sleep(0)


class Opened:
    """A fake of a session and of its driver."""

    def __init__(self) -> None:
        self.driver = self
        self.is_dropped = False

    def terminate(self) -> None:
        self.is_dropped = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
    """Sessions that open at once on port 1, while port 2 fails at the same time."""
    opened: list[Opened] = []

    both = asyncio.Barrier(2)

    async def open_session(url: PostgresUrl, address: Address, *_: object) -> Opened:
        await (both.wait() if len(url.hosts) > 1 else asyncio.sleep(0))
        if address.host is not None and address.host.port == 2:
            raise ZeroDivisionError
        opened.append(Opened())
        return opened[-1]

    monkeypatch.setattr(postgres_servers, "open_session", open_session)
    monkeypatch.setattr(postgres_servers, "STAGGER", 0)
    return opened


async def test_a_connection_that_opens_while_it_is_given_up_twice_is_closed(opened: list[Opened]) -> None:
    connecting = asyncio.create_task(Servers(parse_postgres_url("postgresql://127.0.0.1:1/d")).connect())
    while not opened:
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait([connecting])
    await asyncio.sleep(0)
    assert opened[0].is_dropped


async def test_a_connection_that_opens_during_another_ones_error_is_closed(opened: list[Opened]) -> None:
    for _ in range(40):  # the order of the two is random
        with pytest.raises(ZeroDivisionError):
            await Servers(parse_postgres_url("postgresql://127.0.0.1:2,127.0.0.1:1/d")).connect()
    assert all(one.is_dropped for one in opened)


async def test_without_dropping_opened_sockets_one_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "drop", lambda _: None)
    monkeypatch.setattr("tests.conformance.postgres.test_postgres_given_up.SECONDS", 1)
    with pytest.raises(AssertionError):
        await test_a_connection_with_tls_that_does_not_come_about_is_closed_at_once(UNKNOWN, "require", 1)
    await asyncio.sleep(0.1)  # the server has closed it in the meantime
