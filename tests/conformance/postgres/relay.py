"""A proxy between clients and a PostgreSQL server that may change what the server says, message by message."""

from __future__ import annotations

import asyncio
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Relay(ABC):
    """Passes bytes of clients on as they are. A subclass passes on the messages of the server."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()
        self.refuses_with: bytes | None = None
        """The answer to new connections; None: the answer of the server."""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Yield the URL of the relay while the block runs."""
        server = await asyncio.start_server(self._serve_client, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"postgresql://{self._parts.username}@127.0.0.1:{port}{self._parts.path}?sslmode=disable"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @abstractmethod
    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass messages of the server on to the client. The connection ends when this returns."""

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.refuses_with is not None:
            await reader.read(1)
            writer.write(self.refuses_with)
            writer.close()
            return
        place = self._parts.hostname or "127.0.0.1", self._parts.port or 5432
        from_server, to_server = await asyncio.open_connection(*place)
        towards = asyncio.create_task(_pass_on(reader, to_server))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self.forward(from_server, writer)
        finally:
            towards.cancel()
            for end in (writer, to_server):
                end.close()


async def message_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the next message: its kind with its length, and its body."""
    head = await reader.readexactly(5)
    return head, await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
