"""The claims of one store, and those of jobs without limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from ....domain.clock import Clock, SystemClock
from ....domain.ids import new_batch
from ....domain.interfaces import Database
from ....domain.record import Claim, ClaimRequest
from ..parameters import BoundCall, CallMaker, request_parameters
from .execution import Execution, Labels, Runnable, parameters_of
from .limited import LimitedClaims

FULL_LOOK_INTERVAL = timedelta(milliseconds=250)
"""Time that large claims may continue within one group before a claim looks for more urgent jobs."""
_LEAST_FOLLOWED = 100


class Claims:
    """The claims of one store: with limits, if jobs with limits wait, else without."""

    def __init__(self, database: Database, make: CallMaker, clock: Clock | None) -> None:
        self._clock = clock or SystemClock()
        self._execution = Execution(database, make.call, self._clock)
        self._labels = Labels(database, make.call, self._clock)
        self._unlimited = UnlimitedClaims(self._execution, self._clock)
        self._limited: LimitedClaims | None = None  # until a request has jobs with limits

    def expect(self) -> None:
        """Note new jobs: the next claim can skip the look."""
        self._unlimited.expect()
        if self._limited is not None:
            self._limited.expect()

    def note_labelled(self, request: ClaimRequest) -> None:
        """Note that all rows have the labels of the specs of this request. The next claim skips the relabelling.

        Rows of jobs with limits may still lack them.
        """
        if not any(job.is_limited for job in request.known):
            self._labels.note_current(request)

    def note_settled(self, ids: Iterable[str]) -> None:
        """Look for jobs with limits again if one of these jobs used up a limit."""
        if self._limited is not None:
            self._limited.note_settled(ids)

    async def make(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs, the most urgent first."""
        await self._execution.release_unanswered()
        await self._labels.update(request)
        if request.limit < 1:  # SQLite treats a negative limit as no limit
            return []
        if not any(job.is_limited for job in request.known):
            return await self._unlimited.make(request)
        limited = self._limited = self._limited or LimitedClaims(self._execution, self._labels, self._clock)
        if await limited.are_due(request):
            return await limited.make(request)
        unlimited = tuple(job for job in request.known if not job.is_limited)
        claims = await self._unlimited.make(replace(request, known=unlimited)) if unlimited else []
        if len(claims) < request.limit:
            limited.look_again(request)
        return claims


class UnlimitedClaims:
    """Claims of jobs without limits. After an empty claim, the next one looks first with a statement without a lock."""

    def __init__(self, execution: Execution, clock: Clock) -> None:
        self._execution = execution
        self._statements = execution.statements
        self._clock = clock
        self._idle: set[Runnable] = set()
        self._trail = Trail(clock)

    def expect(self) -> None:
        """Note new jobs."""
        self._idle.clear()

    async def make(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs, the most urgent first."""
        runnable = (request.known, request.queues)
        look: BoundCall | None = None
        if runnable in self._idle:
            look = self._execution.call(self._statements.DUE, **request_parameters(request))
        elif claims := await self._continue(request, runnable):
            return claims
        began, batch = self._clock.monotonic(), new_batch()
        call = self._execution.call(self._statements.CLAIM, **parameters_of(request), batch=batch)
        claims = await self._execution.claim(batch, [call], look=look)
        if not claims:
            self._idle.add(runnable)
            return claims
        self._idle.discard(runnable)
        self._trail.lay(runnable, began, claims[-1].id, count=len(claims), request=request)
        return claims

    async def _continue(self, request: ClaimRequest, runnable: Runnable) -> Sequence[Claim]:
        """Follow the trail."""
        last, statement = self._trail.take(runnable), self._statements.CLAIM_NEXT
        if last is None or statement is None:
            return []
        batch = new_batch()
        call = self._execution.call(statement, **parameters_of(request), batch=batch, after=last)
        claims = await self._execution.claim(batch, [call])
        if len(claims) == request.limit:
            self._trail.continue_behind(runnable, claims[-1].id)
        return claims


class Trail:
    """The last job of a large claim. For a short time, the next claim of the same request may start behind it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runnable: Runnable | None = None
        self._until = float("-inf")
        self._last = ""

    def lay(self, runnable: Runnable, began: float, last: str, *, count: int, request: ClaimRequest) -> None:
        """Lay a trail behind a claim from the head of its groups, if it was full and large."""
        if count == request.limit >= _LEAST_FOLLOWED:
            self._runnable, self._last, self._until = runnable, last, began + FULL_LOOK_INTERVAL.total_seconds()

    def take(self, runnable: Runnable) -> str | None:
        """Return the job behind which a claim of this request may start, and end the trail."""
        taken, self._runnable = self._runnable, None
        return self._last if taken == runnable and self._clock.monotonic() < self._until else None

    def continue_behind(self, runnable: Runnable, last: str) -> None:
        """Continue a taken trail behind the last job of the next claim."""
        self._runnable, self._last = runnable, last
