"""The progress of one job as server-sent events."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from ..domain.record import JobSummary
from ..errors import ServerJobsError
from ..result import JobProgress
from .event_stream import HEADERS, MEDIA_TYPE, Event, EventStream, changes
from .gate import backend_of
from .http_options import HttpOptions
from .jobs import summary_for

_PAUSE = 0.25


async def events(request: Request) -> Response:
    """Send an event `progress` now and at each change, `end` when the job has finished, and comments in between.

    HEAD returns the headers only.
    """
    options: HttpOptions = request.app.state.options
    first = await summary_for(request)  # may answer 404 before the stream starts
    if request.method == "HEAD":
        head = Response(media_type=MEDIA_TYPE, headers=HEADERS)
        del head.headers["content-length"]  # unknown for a stream
        return head
    summaries: list[JobSummary | None] = [first]

    async def read() -> Event | None:
        summary = summaries.pop() if summaries else await _read(request)
        return None if summary is None else _event(request, JobProgress.of(summary))

    return EventStream(changes(request, options, read, pause=_PAUSE))


async def _read(request: Request) -> JobSummary | None:
    """Return the job, or None if it or the database is gone; the reader connects again and gets the answer."""
    try:
        return await backend_of(request).store.summary(request.path_params["id"])
    except ServerJobsError:
        return None


def _event(request: Request, progress: JobProgress) -> Event:
    data = {
        "status": progress.status,
        "progress": progress.percent,
        "message": progress.message,
        "attempt_count": progress.attempt_count,
    }
    has_ended = progress.status.is_finished
    # Without queries left, the reader of a running job connects again.
    is_last = has_ended or backend_of(request).allowance() == 0
    return Event("end" if has_ended else "progress", json.dumps(data), progress, is_last)
