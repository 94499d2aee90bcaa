"""A proxy to a TCP server that can stop answering without closing a connection, like a network that drops packets."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Valve:
    """Forwards to `target` in a thread. While `is_shut`, it swallows all bytes, also on new connections.

    `target` may be changed for later connections.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.is_shut = False
        self.connections = 0
        self.bytes_per_second: float | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Valve:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def freeze(self) -> None:
        """Swallow all bytes of existing connections from now on; new ones work."""
        self._do(self._add_all_to(self._frozen))

    def forget(self) -> None:
        """Reset existing connections at their next bytes, like a host that does not know them."""
        self._do(self._add_all_to(self._forgotten))

    async def _add_all_to(self, some: set[asyncio.StreamWriter]) -> None:
        some.update(self._open)

    def _do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self) -> int:
        self._open: set[asyncio.StreamWriter] = set()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # it buffers few bytes
        self._server = await asyncio.start_server(self._forward, sock=listener)
        return int(listener.getsockname()[1])

    async def _close(self) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                far_reader, far_writer = await asyncio.open_connection(*self.target)
                try:
                    await asyncio.gather(
                        self._pump(reader, far_writer, writer), self._pump(far_reader, writer, writer, is_back=True)
                    )
                finally:
                    far_writer.close()
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        near: asyncio.StreamWriter,
        *,
        is_back: bool = False,
    ) -> None:
        while data := await reader.read(65536):
            if near in self._forgotten and not is_back and not self.is_shut:
                _reset(near)
                break
            if not self._swallows(near):
                to.write(data)
                await to.drain()
                if self.bytes_per_second is not None:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
        while self._swallows(near) and not near.is_closing():
            await asyncio.sleep(0.05)  # the end of the other side is not passed on either
        to.close()

    def _swallows(self, near: asyncio.StreamWriter) -> bool:
        return self.is_shut or near in self._frozen or near in self._forgotten


def _reset(near: asyncio.StreamWriter) -> None:
    endpoint = near.get_extra_info("socket")
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.transport.abort()
