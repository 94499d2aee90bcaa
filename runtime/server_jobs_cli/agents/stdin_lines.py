"""The lines of stdin in an event loop, whose wait can be cancelled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from threading import Thread


async def stdin_lines() -> AsyncIterator[str]:
    """Yield the lines until the other side closes stdin.

    A daemon thread reads, because no signal ends a wait for stdin in another thread: it must not keep the process
    alive. It has its own buffer, because the interpreter would wait for the lock of `sys.stdin` at exit.
    """
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        with suppress(RuntimeError), os.fdopen(os.dup(0), "rb") as source:  # the loop is closed
            for line in source:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

    Thread(target=read, name="server-jobs-stdin", daemon=True).start()
    while line := await lines.get():
        yield line.decode("utf-8", "replace")
