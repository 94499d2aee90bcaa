"""The lines of stdin in an event loop, whose wait can be cancelled."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import BinaryIO

RequestId = int | str | None
"""The id of a request, or None if it is unknown."""

MOST_MEBIBYTES = 2
"""The limit of a line: twice the limit of params, for clients that escape letters."""

_MOST_BYTES = MOST_MEBIBYTES << 20
_PART = 1000
_ID = r'"id"\s*:\s*(?:(\d{1,15})|"([A-Za-z0-9_.:-]{1,200})")\s*'
_VERSION = r'"jsonrpc"\s*:\s*"2\.0"\s*'
_ID_FIRST = re.compile(rf"\s*\{{\s*(?:{_VERSION},\s*)?{_ID},".encode())
_ID_LAST = re.compile(rf",\s*{_ID}(?:,\s*{_VERSION})?\}}\s*\Z".encode())


@dataclass(frozen=True, slots=True)
class _TooLong:
    request: RequestId


async def stdin_lines(refuse: Callable[[RequestId], Awaitable[None]]) -> AsyncIterator[str]:
    """Yield the lines until the other side closes stdin. Call `refuse` for a line of over `MOST_MEBIBYTES`.

    A daemon thread reads, because no signal ends a wait for stdin in another thread: it must not keep the process
    alive. It has its own buffer, because the interpreter would wait for the lock of `sys.stdin` at exit.
    """
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes | _TooLong]()

    def read() -> None:
        with suppress(RuntimeError), os.fdopen(os.dup(0), "rb") as source:  # the loop is closed
            while line := _next(source):
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

    Thread(target=read, name="server-jobs-stdin", daemon=True).start()
    while line := await lines.get():
        if isinstance(line, _TooLong):
            await refuse(line.request)
        else:
            yield line.decode("utf-8", "replace")


def _next(source: BinaryIO) -> bytes | _TooLong:
    line = source.readline(_MOST_BYTES + 1)
    if len(line) <= _MOST_BYTES:
        return line
    first = last = line[:_PART]
    while line:  # only the ends of the line are kept
        last = (last + line)[-_PART:]
        line = b"" if line.endswith(b"\n") else source.readline(_MOST_BYTES)
    return _TooLong(_request_id(first, last))


def _request_id(first: bytes, last: bytes) -> RequestId:
    """Return the id of a request from the ends of its line. The clients of the SDKs write it first or last."""
    found = _ID_FIRST.match(first) or _ID_LAST.search(last)
    if found is None:
        return None
    number, text = found.groups()
    return int(number) if number else str(text, "ascii")
