"""Claims of jobs without limits."""

from __future__ import annotations

from collections.abc import Sequence

from ....domain.clock import Clock
from ....domain.ids import new_batch
from ....domain.record import Claim, ClaimRequest
from ..call_maker import BoundCall
from ..parameters import request_parameters
from .execution import Execution, parameters_of
from .trail import Runnable, Trail


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
