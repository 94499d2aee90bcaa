"""Server-sent events: a value now, and again at each change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .http_options import HttpOptions
from .links import seconds_left
from .problem_document import RefusedError
from .stopping import Stopping

HEADERS = {"x-accel-buffering": "no"}
MEDIA_TYPE = "text/event-stream"
_SILENCE = 15.0  # proxies close silent connections
_RETRY = 1000  # milliseconds until the reader connects again


@dataclass(frozen=True, slots=True)
class Event:
    """An event with one line of data. The reader gets it if `key` is another one than before."""

    name: str
    data: str
    key: object
    is_last: bool = False


class EventStream(Response):
    """Sends events until the last one, or until the reader disconnects.

    Uses asyncio only, because the streams of Starlette need most of anyio, which a Worker would have to upload.
    """

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncIterator[str]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        tasks = [asyncio.ensure_future(one) for one in (self._send(send), until_nobody_reads(receive))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(OSError):  # servers raise it when the connection is gone
            for task in done:
                task.result()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in self._events:
            await send({"type": "http.response.body", "body": event.encode("utf-8", "replace"), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_nobody_reads(receive: Receive) -> None:
    """Wait until the client of a request is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def changes(
    request: Request, options: HttpOptions, read: Callable[[], Awaitable[Event | None]], *, pause: float
) -> AsyncIterator[str]:
    """Read an event every `pause` seconds, and yield it if it is new. Comments keep a silent connection open.

    The stream ends after the last event, if `read` returns None, after the longest time of a stream, when its signed
    link expires, and when the server stops. Unless the event was the last one, the reader connects again.
    """
    stopping: Stopping = request.app.state.stopping
    clock = asyncio.get_running_loop().time
    longest = min(options.longest_stream.total_seconds(), seconds_left(request))
    ends, spoken = clock() + longest, clock()
    last: Event | None = None
    yield f"retry: {_RETRY}\n\n"
    while (event := await read()) is not None:
        if last is None or event.key != last.key:
            spoken = clock()
            yield f"event: {event.name}\ndata: {event.data}\n\n"
        last = event
        if event.is_last or clock() >= ends:
            return
        if clock() - spoken >= _SILENCE:
            spoken = clock()
            yield ": nothing new\n\n"
        try:
            await stopping.within(asyncio.sleep(pause))
        except RefusedError:
            return
