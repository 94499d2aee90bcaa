"""A PostgreSQL database that refuses advisory locks, LISTEN and NOTIFY, as some of its relatives do."""

from __future__ import annotations

import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.generator.databases import postgres_database

_REFUSED = ("LISTEN", "NOTIFY", "UNLISTEN")
_SSL_REQUEST = 80877103
_READY = b"Z" + struct.pack("!ic", 5, b"I")
_FUNCTIONS = r"""
SELECT CAST(CAST(oid AS regprocedure) AS text) FROM pg_proc
 WHERE proname LIKE 'pg\_%advisory%' OR proname = 'pg_notify'
"""


@dataclass(frozen=True, slots=True)
class RefusingDatabase:
    """`url` is for a role without these functions, through the proxy."""

    url: str
    refused: list[str]
    """The statements that the proxy refused."""


@contextmanager
def refusing_database() -> Iterator[RefusingDatabase]:
    """Yield an empty database, in which the role of the URL may create tables."""
    role = f"refused_{uuid.uuid4().hex[:8]}"
    with postgres_database() as owner, psycopg.connect(owner, autocommit=True) as connection:
        functions = [name for (name,) in connection.execute(_FUNCTIONS).fetchall()]
        assert len(functions) > 10
        for statement in (f"CREATE ROLE {role} LOGIN PASSWORD 'secret'", f"GRANT ALL ON SCHEMA public TO {role}"):
            connection.execute(statement.encode())
        connection.execute("; ".join(f"REVOKE EXECUTE ON FUNCTION {one} FROM PUBLIC" for one in functions).encode())
        server = urlsplit(owner)
        try:
            with _Proxy((server.hostname or "127.0.0.1", server.port or 5432)) as proxy:
                place = f"{role}:secret@127.0.0.1:{proxy.server_address[1]}"
                yield RefusingDatabase(urlunsplit(server._replace(netloc=place)), proxy.refused)
        finally:  # other tests use the database next
            connection.execute("; ".join(f"GRANT EXECUTE ON FUNCTION {one} TO PUBLIC" for one in functions).encode())
            connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}".encode())


class _Proxy(ThreadingTCPServer):
    """Passes messages on to the server, and answers refused statements with an error."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.refused: list[str] = []
        super().__init__(("127.0.0.1", 0), _Client)

    def __enter__(self) -> _Proxy:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Client(BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(cast("_Proxy", self.server).target) as far, suppress(OSError, EOFError):
            for end in (self.request, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each message is sent alone
            self._start(far)
            threading.Thread(target=_pump, args=(far, self.request), daemon=True).start()
            while True:
                self._pass_on(far)

    def _start(self, far: socket.socket) -> None:
        while True:
            head = _exactly(self.request, 8)
            length, code = struct.unpack("!ii", head)
            body = _exactly(self.request, length - 8)
            if code != _SSL_REQUEST:
                far.sendall(head + body)
                return
            self.request.sendall(b"N")

    def _pass_on(self, far: socket.socket) -> None:
        kind, message = self._message()
        # A simple query is a text; a statement to prepare has its name before its text.
        text = message[5:].split(b"\0")[1 if kind == b"P" else 0].decode() if kind in (b"Q", b"P") else ""
        if not text.lstrip().upper().startswith(_REFUSED):
            far.sendall(message)
            return
        cast("_Proxy", self.server).refused.append(text)
        fields = b"".join(
            (b"SERROR\0", b"VERROR\0", b"C0A000\0", b"M", text.split()[0].encode(), b" is not supported\0", b"\0")
        )
        self.request.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        while kind not in (b"Q", b"S"):
            kind, _ = self._message()
        self.request.sendall(_READY)

    def _message(self) -> tuple[bytes, bytes]:
        head = _exactly(self.request, 5)
        return head[:1], head + _exactly(self.request, struct.unpack("!i", head[1:])[0] - 4)


def _pump(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_RDWR)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (more := source.recv(count - len(data))):
            raise EOFError
        data += more
    return data
