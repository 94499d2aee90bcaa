"""The progress of one job as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..domain.record import JobSummary
from ..errors import ServerJobsError
from ..result import JobProgress
from .gate import backend_of
from .http_options import HttpOptions
from .jobs import summary_for
from .problem_document import RefusedError
from .stopping import Stopping

_HEADERS = {"x-accel-buffering": "no"}
_PAUSE = 0.25
_SILENCE = 15.0  # proxies close silent connections


async def events(request: Request) -> Response:
    """Send an event `progress` now and at each change, `end` when the job has finished, and comments in between.

    HEAD returns the headers only.
    """
    options: HttpOptions = request.app.state.options
    summary = await summary_for(request)  # may answer 404 before the stream starts
    if request.method == "HEAD":
        head = Response(media_type=_EventStream.media_type, headers=_HEADERS)
        del head.headers["content-length"]  # unknown for a stream
        return head
    return _EventStream(_stream(request, summary, options.longest_stream.total_seconds()))


class _EventStream(Response):
    """Sends events until the last one, or until the reader disconnects.

    Uses asyncio only, because the streams of Starlette need most of anyio, which a Worker would have to upload.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str]) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        tasks = [asyncio.ensure_future(one) for one in (self._send(send), _until_nobody_reads(receive))]
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
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_nobody_reads(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(request: Request, summary: JobSummary | None, longest: float) -> AsyncIterator[str]:
    stopping: Stopping = request.app.state.stopping
    clock = asyncio.get_running_loop().time
    ends, spoken = clock() + longest, clock()
    last: JobProgress | None = None
    yield f"retry: {int(_PAUSE * 4000)}\n\n"
    while summary is not None:
        progress = JobProgress.of(summary)
        if progress != last:
            last, spoken = progress, clock()
            yield _event(progress)
        if progress.status.is_finished or clock() >= ends or backend_of(request).allowance() == 0:
            return  # the reader of a running job connects again
        if clock() - spoken >= _SILENCE:
            spoken = clock()
            yield ": nothing new\n\n"
        try:
            await stopping.within(asyncio.sleep(_PAUSE))
        except RefusedError:
            return  # the reader connects again, to the next server
        summary = await _read(request)


async def _read(request: Request) -> JobSummary | None:
    """Return the job, or None if it or the database is gone; the reader connects again and gets the answer."""
    try:
        return await backend_of(request).store.summary(request.path_params["id"])
    except ServerJobsError:
        return None


def _event(progress: JobProgress) -> str:
    data = {
        "status": progress.status,
        "progress": progress.percent,
        "message": progress.message,
        "attempt_count": progress.attempt_count,
    }
    name = "end" if progress.status.is_finished else "progress"
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
