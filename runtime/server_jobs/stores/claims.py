"""Claims from a SQL database: one statement for jobs without limits, and another one if jobs with limits wait.

The statement for limits scans a bounded number of jobs, independent of the backlog. If the database allows concurrent
writers, a lock comes first, so that two claims never count the same runs.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ..domain.clock import Clock, SystemClock
from ..domain.ids import new_batch
from ..domain.interfaces import Database, Value
from ..domain.record import Claim, ClaimRequest, KnownJob
from ..errors import DatabaseError
from .call_maker import BoundCall, CallMaker
from .dialect import dialect_of
from .rows import LONG_TEXT, claims_of, json_of, milliseconds, request_parameters

WINDOW = 256
SMALL_WINDOW = 64  # without lanes
LANES = 96  # of all names together
FURTHER_LOOKS = 2
FURTHER_LANES = 2000
# The golden section of the keys: each scan of lanes starts far from the earlier ones.
_STRIDE = 0x9E3779B97F4A7C15
FULL_LOOK_INTERVAL = timedelta(milliseconds=250)
"""Time that large claims may continue within one group before a claim looks for more urgent jobs."""
_LEAST_FOLLOWED = 100
RELABEL_INTERVAL = timedelta(seconds=10)
LONGEST_CLAIM = timedelta(seconds=10)
"""Longest time that a server continues with a claim after its connection was lost."""
_DISMISSED_AT_ONCE = 1000
ADOPTED_AT_ONCE = 1000
_LOOK_INTERVAL = 0.1  # seconds between searches for jobs with limits while claims are full
_FORGET_INTERVAL = 1.0
_REST = 20  # multiple of the duration of the search
_LONGEST_REST = 0.5

_Runnable = tuple[tuple[KnownJob, ...], tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class _Trail:
    """The last job of a large claim. Until `until`, the next claim of the same request may start behind it."""

    runnable: _Runnable
    job_id: str
    until: float


@dataclass(slots=True)
class _LimitedSearch:
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


class Claims:
    """The statements of each claim."""

    def __init__(self, database: Database, make: CallMaker, clock: Clock | None) -> None:
        self._database = database
        self._dialect = dialect_of(database)
        self._statements = self._dialect.statements
        self._call = make.call
        self._clock = clock or SystemClock()
        self._packs = self._dialect.packs_rows
        self._known: tuple[KnownJob, ...] = ()
        self._relabelled_at = float("-inf")
        self._idle: set[_Runnable] = set()
        self._trail: _Trail | None = None
        self._start = random.getrandbits(64)
        self._unanswered: list[tuple[float, str]] = []
        self._limited_ids: set[str] = set()
        self._searches: defaultdict[_Runnable, _LimitedSearch] = defaultdict(_LimitedSearch)
        self._forget_at = float("-inf")

    def expect(self) -> None:
        """Note new jobs: the next claim can skip the look."""
        self._idle.clear()
        for search in self._searches.values():
            search.skip_until = float("-inf")

    def note_labelled(self, request: ClaimRequest) -> None:
        """Note that all rows have the labels of the specs of this request. The next claim skips the relabelling.

        Rows of jobs with limits may still lack them.
        """
        if not any(job.is_limited for job in request.known):
            self._known, self._relabelled_at = request.known, self._clock.monotonic()

    async def make(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs, the most urgent first."""
        await self._release_unanswered()
        await self._relabel(request)
        if request.limit < 1:  # SQLite treats a negative limit as no limit
            return []
        if not any(job.is_limited for job in request.known):
            return await self._claim_unlimited(request)
        search = self._searches[request.known, request.queues]
        if await self._may_claim_limited(request, search):
            return await self._claim_both(_at_most_looked_at(request), search)
        unlimited = tuple(job for job in request.known if not job.is_limited)
        claims = await self._claim_unlimited(replace(request, known=unlimited)) if unlimited else []
        if len(claims) < request.limit:
            search.skip_until = float("-inf")
        return claims

    def note_settled(self, ids: Iterable[str]) -> None:
        """Look for jobs with limits again if one of these jobs used up a limit."""
        if self._limited_ids and not self._limited_ids.isdisjoint(ids):
            self._limited_ids.difference_update(ids)
            for search in self._searches.values():
                search.rest_until = float("-inf")

    async def _may_claim_limited(self, request: ClaimRequest, search: _LimitedSearch) -> bool:
        """Return whether jobs with limits are due.

        While other jobs fill every claim, search only from time to time and after an insert of this process.
        """
        now = self._clock.monotonic()
        if search.may_skip(now):
            return False
        if now < search.look_at:
            return True
        is_due = await self._look_for_limited(request)
        search.note_look(now, is_due=is_due)
        return is_due

    async def _claim_both(self, request: ClaimRequest, search: _LimitedSearch) -> Sequence[Claim]:
        """Claim jobs with and without limits.

        Scan lanes too, unless the last claim got as many jobs with limits as it wanted.
        """
        began, needed = self._clock.monotonic(), _needed(request)
        claims = await self._claim_limited(request, unlimited=request.limit, lanes=0 if search.had_all else LANES)
        count = self._note_limited(request, claims)
        search.note_claim(self._clock.monotonic(), had_all=0 < needed <= count)
        if count or not needed or not await self._are_more(request):
            return claims
        if not claims:
            claims = await self._claim_hidden(request)
        if not self._note_limited(request, claims):
            now = self._clock.monotonic()
            search.note_none_allowed(now, took=now - began)
        return claims

    def _note_limited(self, request: ClaimRequest, claims: Sequence[Claim]) -> int:
        """Remember the claims that use up a limit, and return their number."""
        names = {job.name for job in request.known if job.is_limited}
        ids = [claim.id for claim in claims if claim.job_name in names]
        self._limited_ids.update(ids)
        return len(ids)

    async def _are_more(self, request: ClaimRequest) -> bool:
        """Return whether more jobs with limits are due than a claim scans."""
        look = self._call(self._statements.LIMITED_DUE, **request_parameters(request), beyond=_window(request) - 1)
        (are_more,) = await self._database.run(look)
        return bool(are_more)

    async def _look_for_limited(self, request: ClaimRequest) -> bool:
        """Return whether jobs with limits are due.

        First add the missing keys of the most urgent jobs, which a process without the limits stored.
        """
        parameters = request_parameters(request)
        peek = self._call(self._statements.LIMITED_DUE, **parameters, beyond=0)
        keyless, due = await self._database.run(self._call(self._statements.ADOPTABLE, **parameters), peek)
        if keyless:
            limit = max(request.limit, ADOPTED_AT_ONCE)
            _, due = await self._database.run(self._call(self._statements.ADOPT, **parameters, limit=limit), peek)
        return bool(due)

    async def _claim_unlimited(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs without limits. After an empty claim, check first with a statement that takes no lock."""
        runnable = (request.known, request.queues)
        look: BoundCall | None = None
        if runnable in self._idle:
            look = self._call(self._statements.DUE, **request_parameters(request))
        elif claims := await self._claim_next(request, runnable):
            return claims
        now = self._clock.monotonic()
        batch = new_batch()
        claim = self._call(self._statements.CLAIM, **_parameters(request), batch=batch)
        claims = await self._run(batch, [claim], look=look)
        if claims:
            self._idle.discard(runnable)
        else:
            self._idle.add(runnable)
        if len(claims) == request.limit >= _LEAST_FOLLOWED:
            self._trail = _Trail(runnable, claims[-1].id, now + FULL_LOOK_INTERVAL.total_seconds())
        return claims

    async def _claim_next(self, request: ClaimRequest, runnable: _Runnable) -> Sequence[Claim]:
        """Continue behind the last claim, if it was large and recent."""
        trail, self._trail = self._trail, None
        statement = self._statements.CLAIM_NEXT
        if statement is None or trail is None or trail.runnable != runnable or self._clock.monotonic() >= trail.until:
            return []
        batch = new_batch()
        claims = await self._run(
            batch, [self._call(statement, **_parameters(request), batch=batch, after=trail.job_id)]
        )
        if len(claims) == request.limit:
            self._trail = replace(trail, job_id=claims[-1].id)
        return claims

    async def _claim_hidden(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim jobs with other keys, because all jobs scanned by now are blocked by their limit."""
        for _ in range(FURTHER_LOOKS):
            if claims := await self._claim_limited(request, unlimited=0, lanes=FURTHER_LANES):
                return claims
        return []

    async def _claim_limited(self, request: ClaimRequest, *, unlimited: int, lanes: int) -> Sequence[Claim]:
        batch = new_batch()
        self._start = (self._start + _STRIDE) % 2**64
        claim = self._call(
            self._statements.CLAIM_LIMITED,
            **_parameters(request),
            unlimited=unlimited,
            batch=batch,
            window=_window(request) if lanes else max(SMALL_WINDOW, 2 * _needed(request)),
            lanes=lanes,
            start=f"{self._start:016x}",
        )
        lock = self._statements.LOCK_LIMITS
        calls = [claim] if lock is None else [self._call(lock), claim]
        has_rates = any(job.rate is not None for job in request.known)
        return await self._run(batch, calls, self._noting_starts(request, batch) if has_rates else [])

    def _noting_starts(self, request: ClaimRequest, batch: str) -> list[BoundCall]:
        """Return the calls that record the starts of jobs with a rate."""
        calls: list[BoundCall] = []
        if self._statements.RECORD_STARTS is not None:
            known = request_parameters(request)["known"]
            calls.append(self._call(self._statements.RECORD_STARTS, known=known, batch=batch))
        now = self._clock.monotonic()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_INTERVAL
            calls.append(self._call(self._statements.FORGET_STARTS))
        return calls

    async def _run(
        self, batch: str, calls: list[BoundCall], more: Sequence[BoundCall] = (), *, look: BoundCall | None = None
    ) -> Sequence[Claim]:
        """Run these calls in one transaction and return the claims."""
        packs = self._packs
        claimed = self._statements.PACKED_CLAIMED if packs else self._statements.CLAIMED
        answered = [*calls, self._call(claimed, batch=batch)] if claimed is not None else calls
        try:
            rows = (await self._database.run(*answered, *more, look=look))[len(answered) - 1]
        except DatabaseError as error:
            if not packs or "too big" not in str(error):
                now = self._clock.monotonic()
                self._unanswered += [(now, batch), (now + LONGEST_CLAIM.total_seconds(), batch)]
                raise
            self._packs = False  # the packed params would exceed the longest text
            return await self._run(batch, calls, more, look=look)
        claims = claims_of(rows, batch)
        if claims and self._dialect.packs_rows:
            # Packing long params costs more: they are escaped and parsed again.
            self._packs = sum([len(claim.params) for claim in claims]) < LONG_TEXT * len(claims)
        return claims

    async def _release_unanswered(self) -> None:
        """Release jobs of claims whose answer was lost: at the next claim, and again when the server must have ended.

        Otherwise these jobs would wait for the end of their leases and lose an attempt.
        """
        now = self._clock.monotonic()
        if due := [one for one in self._unanswered if one[0] <= now]:
            batches = json_of([batch for _, batch in due])
            await self._database.run(self._call(self._statements.RELEASE_UNANSWERED, batches=batches))
            self._unanswered = [one for one in self._unanswered if one not in due]

    async def _relabel(self, request: ClaimRequest) -> None:
        """Update rows whose spec gained or lost limits: at once for a new request, else from time to time."""
        now = self._clock.monotonic()
        if request.known == self._known and now - self._relabelled_at < RELABEL_INTERVAL.total_seconds():
            return
        parameters = request_parameters(request)
        calls = [self._call(self._statements.DISMISS, **parameters, limit=_DISMISSED_AT_ONCE)]
        if any(job.is_limited for job in request.known):
            calls.append(self._call(self._statements.ADOPT_RUNNING, known=parameters["known"]))
        dismissed, *_ = await self._database.run(*calls)
        if len(dismissed) < _DISMISSED_AT_ONCE:
            self._known, self._relabelled_at = request.known, now


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


def _parameters(request: ClaimRequest) -> dict[str, Value]:
    return {
        **request_parameters(request),
        "limit": request.limit,
        "slots": request.slots,
        "limited": request.limited,
        "lease": milliseconds(request.lease),
        "worker_id": request.worker_id,
    }
