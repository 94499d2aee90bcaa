"""The budget of a request that scans jobs: steps, time, and a client that still waits for the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server_jobs.domain.record import JobFilter
from starlette.requests import Request

from .event_stream import until_nobody_reads
from .places import place_for_search
from .problem_document import RETRY_AFTER, RefusedError

MOST_STEPS = 5
"""Steps of a scan in one request, so that it ends soon."""
MOST_SECONDS = 2.0
"""Time after which a request with conditions begins no step."""
_LONGEST_WAIT = 10.0


class Steps:
    """The steps of one request."""

    def __init__(
        self, most: int | None = None, reader: asyncio.Task[None] | None = None, seconds: float | None = None
    ) -> None:
        self._most = MOST_STEPS if most is None else most
        self._reader = reader
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._taken = 0

    def may_go_on(self) -> bool:
        """Return whether another step may begin. The first one always may."""
        self._taken += 1
        is_late = self._ends is not None and time.monotonic() >= self._ends
        is_alone = self._reader is not None and self._reader.done()
        return self._taken == 1 or not (self._taken > self._most or is_late or is_alone)


@asynccontextmanager
async def steps_of(request: Request, among: JobFilter, *, most: int | None = None) -> AsyncIterator[Steps]:
    """Yield the steps of a request, at most `MOST_STEPS` or `most`. They end when its client is gone.

    Requests with conditions, which read documents, take turns. Raises `RefusedError`: 429 if this caller has too many,
    503 if the turn does not come in time.
    """
    if not among.where:
        yield Steps(most)
        return
    with place_for_search(request.scope) as turns:
        try:
            await asyncio.wait_for(turns.acquire(), _LONGEST_WAIT)
        except TimeoutError:
            raise RefusedError(503, "other searches are running; try again soon", headers=RETRY_AFTER) from None
        reader = asyncio.ensure_future(until_nobody_reads(request.receive))
        try:
            yield Steps(most, reader, MOST_SECONDS)
        finally:
            turns.release()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
