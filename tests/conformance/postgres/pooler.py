"""A strict pooler in transaction mode: each transaction runs on another server connection.

PgBouncer does this under load now and then. Here a prepared statement, a setting or a LISTEN never lasts for the next
transaction of the same client.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_SSL_REQUEST = 80877103
_CANCEL_REQUEST = 80877102

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class StrictPooler:
    """Sits between clients and a PostgreSQL server; `transactions` counts the transactions."""

    def __init__(self, url: str, *, connections: int = 4) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 5432
        self._user, self._database = parts.username or "postgres", parts.path.lstrip("/")
        self._size = connections
        self._idle: deque[_Streams] = deque()
        self._greeting = b""
        self._available = asyncio.Condition()
        self.transactions = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Yield the URL of the pooler while the block runs."""
        connections = [await self._connect() for _ in range(self._size)]
        self._idle.extend(connections)
        server = await asyncio.start_server(self._serve_client, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"postgresql://{self._user}@127.0.0.1:{port}/{self._database}"
        finally:
            server.close()
            for _, writer in connections:
                writer.close()

    async def _connect(self) -> _Streams:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        options = f"user\0{self._user}\0database\0{self._database}\0client_encoding\0UTF8\0\0".encode()
        writer.write(struct.pack("!ii", len(options) + 8, 196608) + options)
        greeting = b""
        while True:
            kind, message = await _message(reader)
            if kind == b"Z":
                break
            if kind == b"S":
                greeting += message
        self._greeting = greeting
        return reader, writer

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if await self._greet(reader, writer):
                await self._relay(reader, writer)
        writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code == _CANCEL_REQUEST:
                return False
            if code != _SSL_REQUEST:
                break
            writer.write(b"N")
        key = b"K" + struct.pack("!iii", 12, 1, 1)  # a fake process number, as every pooler sends
        writer.write(b"R" + struct.pack("!ii", 8, 0) + self._greeting + key + b"Z" + struct.pack("!ic", 5, b"I"))
        return True

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_client = asyncio.create_task(_message(reader))
        while True:
            await asyncio.wait([from_client])
            if from_client.result()[0] == b"X":
                return
            async with self._available:
                await self._available.wait_for(lambda: bool(self._idle))
                streams = self._idle.popleft()
            from_client = await self._transaction(from_client, reader, writer, streams)
            self.transactions += 1
            async with self._available:
                self._idle.append(streams)
                self._available.notify()

    async def _transaction(
        self,
        from_client: asyncio.Task[tuple[bytes, bytes]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        streams: _Streams,
    ) -> asyncio.Task[tuple[bytes, bytes]]:
        """Pass messages in both directions to the end of the transaction. Return the client's next message."""
        from_server, awaited = asyncio.create_task(_message(streams[0])), 0
        while True:
            await asyncio.wait([from_client, from_server], return_when=asyncio.FIRST_COMPLETED)
            if from_server.done():
                kind, message = from_server.result()
                writer.write(message)
                awaited -= kind == b"Z"
                if kind == b"Z" and message[-1:] == b"I" and not awaited:
                    return from_client
                from_server = asyncio.create_task(_message(streams[0]))
            elif from_client.done():
                kind, message = from_client.result()
                streams[1].write(message)
                awaited += kind in (b"Q", b"S")
                from_client = asyncio.create_task(_message(reader))


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
