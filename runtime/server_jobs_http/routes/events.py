"""The progress of one job or batch as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from server_jobs.domain.record import JobSummary
from server_jobs.domain.statistics import BatchCounts
from server_jobs.errors import ServerJobsError
from server_jobs.inspection.job_document import batch_document
from server_jobs.result import JobProgress
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import Response

from ..access import for_its_job, for_some_queue, summary_for
from ..described_route import Answer, Description
from ..event_stream import HEADERS, MEDIA_TYPE, Event, EventStream, changes
from ..gate import backend_of
from ..http_options import HttpOptions
from ..links import BATCH_EVENTS_PATH, JOB_EVENTS_PATH
from ..places import become_stream
from ..schema_parts import TEXT
from .batches import BATCH_ID, counts_for
from .jobs import JOB_ID

T = TypeVar("T")

_PAUSE = 0.25
_PAUSE_OF_BATCH = 1.0  # each event counts all jobs of the batch


@Description(
    "GET",
    JOB_EVENTS_PATH,
    name="watch_job",
    summary="Stream the progress of a job as server-sent events.",
    scope=Scope.READ,
    reach=for_its_job,
    path_parameters=JOB_ID,
    answers={200: Answer(TEXT, media_type=MEDIA_TYPE)},
    by_link=True,
)
async def events(request: Request) -> Response:
    """Send an event `progress` now and at each change, `end` when the job has finished, and comments in between.

    HEAD returns the headers only.
    """
    store, job_id = backend_of(request).store, request.path_params["id"]

    def event_of(summary: JobSummary) -> Event:
        return _event_of_job(request, JobProgress.of(summary))

    return _stream(request, await summary_for(request), lambda: store.summary(job_id), event_of, _PAUSE)


@Description(
    "GET",
    BATCH_EVENTS_PATH,
    name="watch_batch",
    summary="Stream the counts of a batch as server-sent events.",
    scope=Scope.READ,
    reach=for_some_queue,
    path_parameters=BATCH_ID,
    answers={200: Answer(TEXT, media_type=MEDIA_TYPE)},
    by_link=True,
)
async def batch_events(request: Request) -> Response:
    """Like `events`, with the counts of a batch, and `end` when all its jobs have finished."""
    store, batch_id = backend_of(request).store, request.path_params["id"]

    def event_of(counts: BatchCounts) -> Event:
        return _event(request, batch_document(batch_id, counts), counts, has_ended=not counts.unfinished)

    return _stream(request, await counts_for(request), lambda: store.count_batch(batch_id), event_of, _PAUSE_OF_BATCH)


def _stream(
    request: Request,
    first: T,
    read_next: Callable[[], Awaitable[T | None]],
    event_of: Callable[[T], Event],
    pause: float,
) -> Response:
    """Return the stream of the events of `first` and of each later value.

    It ends if `read_next` returns None or the database fails; the reader connects again and gets the answer.
    """
    if request.method == "HEAD":
        head = Response(media_type=MEDIA_TYPE, headers=HEADERS)
        del head.headers["content-length"]  # unknown for a stream
        return head
    become_stream(request.scope)
    options: HttpOptions = request.app.state.options
    known = [first]

    async def read() -> Event | None:
        try:
            value = known.pop() if known else await read_next()
        except ServerJobsError:
            return None
        return None if value is None else event_of(value)

    return EventStream(changes(request, options, read, pause=pause))


def _event_of_job(request: Request, progress: JobProgress) -> Event:
    data = {
        "status": progress.status,
        "progress": progress.percent,
        "message": progress.message,
        "attempt_count": progress.attempt_count,
    }
    return _event(request, data, progress, has_ended=progress.status.is_finished)


def _event(request: Request, data: dict[str, object], key: object, *, has_ended: bool) -> Event:
    # Without queries left, the reader of unfinished jobs connects again.
    is_last = has_ended or backend_of(request).allowance() == 0
    return Event("end" if has_ended else "progress", json.dumps(data), key, is_last)
