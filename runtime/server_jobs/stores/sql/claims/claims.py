"""The claims of one store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ....domain.clock import Clock, SystemClock
from ....domain.interfaces import Database
from ....domain.record import Claim, ClaimRequest
from ..call_maker import CallMaker
from .execution import Execution
from .labels import Labels
from .limited import LimitedClaims
from .unlimited import UnlimitedClaims


class Claims:
    """The claims of one store: with limits, if jobs with limits wait, else without."""

    def __init__(self, database: Database, make: CallMaker, clock: Clock | None) -> None:
        clock = clock or SystemClock()
        self._execution = Execution(database, make.call, clock)
        self._labels = Labels(database, make.call, clock)
        self._unlimited = UnlimitedClaims(self._execution, clock)
        self._limited = LimitedClaims(self._execution, self._labels, clock)

    def expect(self) -> None:
        """Note new jobs: the next claim can skip the look."""
        self._unlimited.expect()
        self._limited.expect()

    def note_labelled(self, request: ClaimRequest) -> None:
        """Note that all rows have the labels of the specs of this request. The next claim skips the relabelling.

        Rows of jobs with limits may still lack them.
        """
        if not any(job.is_limited for job in request.known):
            self._labels.note_current(request)

    def note_settled(self, ids: Iterable[str]) -> None:
        """Look for jobs with limits again if one of these jobs used up a limit."""
        self._limited.note_settled(ids)

    async def make(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs, the most urgent first."""
        await self._execution.release_unanswered()
        await self._labels.update(request)
        if request.limit < 1:  # SQLite treats a negative limit as no limit
            return []
        if not any(job.is_limited for job in request.known):
            return await self._unlimited.make(request)
        if await self._limited.are_due(request):
            return await self._limited.make(request)
        unlimited = tuple(job for job in request.known if not job.is_limited)
        claims = await self._unlimited.make(replace(request, known=unlimited)) if unlimited else []
        if len(claims) < request.limit:
            self._limited.look_again(request)
        return claims
