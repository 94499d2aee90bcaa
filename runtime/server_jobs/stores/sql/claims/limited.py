"""Claims of jobs with limits, together with jobs without limits.

The statement reads a bounded number of jobs, whatever the backlog. If the database allows concurrent writers, a lock
comes first, so that two claims never count the same runs.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ....domain.clock import Clock
from ....domain.ids import new_batch
from ....domain.record import Claim, ClaimRequest
from ..parameters import BoundCall, request_parameters
from .execution import Execution, Labels, Runnable, parameters_of

WINDOW = 256
SMALL_WINDOW = 64  # without lanes
LANES = 96  # of all names together
FURTHER_LOOKS = 2
FURTHER_LANES = 2000
# The golden section of the keys: each search for lanes starts far from the earlier ones.
_STRIDE = 0x9E3779B97F4A7C15
_FORGET_INTERVAL = 1.0
_LOOK_INTERVAL = 0.1  # seconds between searches for jobs with limits while claims are full
_REST = 20  # multiple of the duration of the search
_LONGEST_REST = 0.5


class LimitedClaims:
    """Claims of jobs with and without limits, and the search for open lanes if full ones hide them."""

    def __init__(self, execution: Execution, labels: Labels, clock: Clock) -> None:
        self._execution = execution
        self._statements = execution.statements
        self._labels = labels
        self._clock = clock
        self._times: defaultdict[Runnable, SearchTimes] = defaultdict(SearchTimes)
        self._running: set[str] = set()
        self._start = random.getrandbits(64)
        self._forget_at = float("-inf")

    def expect(self) -> None:
        """Note new jobs."""
        for times in self._times.values():
            times.look_again()

    def note_settled(self, ids: Iterable[str]) -> None:
        """Search again if one of these jobs used up a limit."""
        if self._running and not self._running.isdisjoint(ids):
            self._running.difference_update(ids)
            for times in self._times.values():
                times.end_rest()

    def look_again(self, request: ClaimRequest) -> None:
        """Let the next claim of this request look for jobs with limits."""
        self._times_of(request).look_again()

    async def are_due(self, request: ClaimRequest) -> bool:
        """Return whether jobs with limits are due.

        While other jobs fill every claim, look only from time to time and after an insert of this process.
        """
        now, times = self._clock.monotonic(), self._times_of(request)
        if times.may_skip(now):
            return False
        if now < times.look_at:
            return True
        is_due = await self._labels.adopt(request)
        times.note_look(now, is_due=is_due)
        return is_due

    async def make(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs with and without limits.

        Search lanes too, unless the last claim got as many jobs with limits as it wanted.
        """
        times, request = self._times_of(request), _at_most_looked_at(request)
        began, needed = self._clock.monotonic(), _needed(request)
        claims = await self._claim(request, unlimited=request.limit, lanes=0 if times.had_all else LANES)
        count = self._note(request, claims)
        times.note_claim(self._clock.monotonic(), had_all=0 < needed <= count)
        if count or not needed or not await self._are_more(request):
            return claims
        if not claims:
            claims = await self._claim_hidden(request)
        if not self._note(request, claims):
            now = self._clock.monotonic()
            times.note_none_allowed(now, took=now - began)
        return claims

    def _times_of(self, request: ClaimRequest) -> SearchTimes:
        return self._times[request.known, request.queues]

    def _note(self, request: ClaimRequest, claims: Sequence[Claim]) -> int:
        """Remember the claims that use up a limit, and return their number."""
        names = {job.name for job in request.known if job.is_limited}
        ids = [claim.id for claim in claims if claim.job_name in names]
        self._running.update(ids)
        return len(ids)

    async def _are_more(self, request: ClaimRequest) -> bool:
        """Return whether more jobs with limits are due than a claim reads."""
        parameters = request_parameters(request)
        return await self._execution.is_found(self._statements.LIMITED_DUE, **parameters, beyond=_window(request) - 1)

    async def _claim_hidden(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs of other lanes, because all jobs found by now are blocked by their limit."""
        for _ in range(FURTHER_LOOKS):
            if claims := await self._claim(request, unlimited=0, lanes=FURTHER_LANES):
                return claims
        return []

    async def _claim(self, request: ClaimRequest, *, unlimited: int, lanes: int) -> Sequence[Claim]:
        batch = new_batch()
        self._start = (self._start + _STRIDE) % 2**64
        claim = self._execution.call(
            self._statements.CLAIM_LIMITED,
            **parameters_of(request),
            limited=request.limited,
            unlimited=unlimited,
            batch=batch,
            window=_window(request) if lanes else max(SMALL_WINDOW, 2 * _needed(request)),
            lanes=lanes,
            start=f"{self._start:016x}",
        )
        lock = self._statements.LOCK_LIMITS
        calls = [claim] if lock is None else [self._execution.call(lock), claim]
        has_rates = any(job.rate is not None for job in request.known)
        return await self._execution.claim(batch, calls, self._noting_starts(request, batch) if has_rates else [])

    def _noting_starts(self, request: ClaimRequest, batch: str) -> list[BoundCall]:
        """Return the calls that record the starts of jobs with a rate."""
        calls: list[BoundCall] = []
        if self._statements.RECORD_STARTS is not None:
            known = request_parameters(request)["known"]
            calls.append(self._execution.call(self._statements.RECORD_STARTS, known=known, batch=batch))
        now = self._clock.monotonic()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_INTERVAL
            calls.append(self._execution.call(self._statements.FORGET_STARTS))
        return calls


@dataclass(slots=True)
class SearchTimes:
    """The time of the next search for jobs with limits, for claims of one request."""

    had_all: bool = False
    """Whether the last claim got as many jobs with limits as it wanted."""
    look_at: float = float("-inf")
    """Time until which jobs with limits are assumed to be due."""
    skip_until: float = float("-inf")
    """Time until which none is assumed to be due."""
    rest_until: float = float("-inf")
    """Time until which all due jobs with limits are assumed to be blocked."""

    def may_skip(self, now: float) -> bool:
        """Return whether a claim can skip the search."""
        return now < max(self.rest_until, self.skip_until)

    def look_again(self) -> None:
        """Let the next claim look."""
        self.skip_until = float("-inf")

    def end_rest(self) -> None:
        """Note that a limit may allow more jobs."""
        self.rest_until = float("-inf")

    def note_claim(self, now: float, *, had_all: bool) -> None:
        """Assume for a while that more are due, if a claim got as many as it wanted."""
        self.had_all = had_all
        self.look_at = now + _LOOK_INTERVAL if had_all else float("-inf")

    def note_look(self, now: float, *, is_due: bool) -> None:
        """Skip the next searches if none is due."""
        self.skip_until = float("-inf") if is_due else now + _LOOK_INTERVAL

    def note_none_allowed(self, now: float, took: float) -> None:
        """Pause the search in proportion to its duration, because all due jobs are blocked."""
        self.rest_until = now + min(_REST * took, _LONGEST_REST)


def _at_most_looked_at(request: ClaimRequest) -> ClaimRequest:
    """Return the request with a limit of at most one window of jobs with limits."""
    if request.limited is None:
        return request
    return replace(request, limit=min(request.limit, max(SMALL_WINDOW // 2, 2 * request.limited)))


def _needed(request: ClaimRequest) -> int:
    """Return how many jobs with limits the request wants."""
    return request.limit if request.limited is None else min(request.limit, request.limited)


def _window(request: ClaimRequest) -> int:
    return max(WINDOW, 2 * request.limit)
