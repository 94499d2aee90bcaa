"""Claiming from a SQL database: jobs without limits by one statement, those with limits beside them where some wait.

The statement for limits looks at a bounded number of jobs, however many wait. Where databases let two transactions
write at once, the lock statement comes first, so that no two claims count the same runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from ..clock import Clock, SystemClock
from ..errors import DatabaseError
from ..ids import new_batch
from ..ports import Database, Statement, Value
from ..record import Claim, ClaimRequest, KnownJob
from .dialect import statements_of
from .rows import claims_of, json_of, milliseconds, request_parameters

WINDOW = 256
LANES = 32
FURTHER_LOOKS = 2
FURTHER_LANES = 1000  # of all names together
# The golden section of the keys: where the next look at lanes begins, far from where those before began.
_STRIDE = 0x9E3779B97F4A7C15
RELABEL_INTERVAL = timedelta(seconds=10)
LONGEST_CLAIM = timedelta(seconds=10)
"""How long a server may go on with a claim after its connection was lost."""
_DISMISSED_AT_ONCE = 1000
ADOPTIONS = 10
ADOPTED_AT_ONCE = 1000

_Call = tuple[Statement, Mapping[str, Value]]
_Runnable = tuple[tuple[KnownJob, ...], tuple[str, ...] | None]


class Claims:
    """Chooses the statements of each claim.

    `call` turns a statement and its parameters into what a database runs, `waiting_call` one that waits for others.
    """

    def __init__(
        self, database: Database, call: Callable[..., _Call], waiting_call: Callable[..., _Call], clock: Clock | None
    ) -> None:
        self._database = database
        self._statements = statements_of(database)
        self._call, self._waiting_call = call, waiting_call
        self._clock = clock or SystemClock()
        self._packs = database.packs_rows
        self._known: tuple[KnownJob, ...] = ()
        self._relabelled_at = float("-inf")
        self._idle: set[_Runnable] = set()
        self._start = random.getrandbits(64)
        self._unanswered: list[tuple[float, str]] = []

    def expect(self) -> None:
        """There are new jobs: the next claim need not look first."""
        self._idle.clear()

    def note_labelled(self, request: ClaimRequest) -> None:
        """No row is labelled otherwise than the specs of this request say: the next claim need not see to it.

        Of rows of jobs with limits that is not known.
        """
        if not any(job.is_limited for job in request.known):
            self._known, self._relabelled_at = request.known, self._clock.monotonic()

    async def make(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim; the most urgent comes first."""
        await self._give_back_unanswered()
        await self._relabel(request)
        if not any(job.is_limited for job in request.known):
            return await self._claim_unlimited(request)
        while True:
            is_due, is_keyless = await self._look_for_limited(request)
            unlimited = tuple(job for job in request.known if not job.is_limited)
            if not is_due:
                return await self._claim_unlimited(replace(request, known=unlimited)) if unlimited else []
            request = _at_most_looked_at(request)
            # Those without limits come after the keyless, which come first of all.
            wanted = request.limit if unlimited and not is_keyless else 0
            claims = await self._claim_limited(request, unlimited=wanted, lanes=LANES)
            if claims or not is_keyless:
                return claims or await self._claim_hidden(request)

    async def _look_for_limited(self, request: ClaimRequest) -> tuple[bool, bool]:
        """Whether jobs with limits are due, and whether more of them without keys come before all others.

        Keyless ones are those that were stored by somebody who knew of no limit.
        """
        parameters = request_parameters(request)
        peek = self._call(self._statements.LIMITED_DUE, **parameters, beyond=0)
        limit = request.limit
        keyless, due = await self._database.run(self._call(self._statements.ADOPTABLE, **parameters, limit=limit), peek)
        if not keyless:
            return bool(due), False
        for _ in range(ADOPTIONS):
            adopted, due = await self._database.run(self._call(self._statements.ADOPT, **parameters, limit=limit), peek)
            if len(adopted) < limit or not adopted:
                return bool(due), False
            limit = ADOPTED_AT_ONCE
        return True, True

    async def _claim_unlimited(self, request: ClaimRequest) -> Sequence[Claim]:
        """After a claim that found nothing, only if a look that writes and locks nothing finds something."""
        runnable = (request.known, request.queues)
        look: _Call | None = None
        if runnable in self._idle:
            look = self._call(self._statements.DUE, **request_parameters(request))
        batch = new_batch()
        claim = self._call(self._statements.CLAIM, **_parameters(request), batch=batch)
        claims = await self._run(batch, [claim], look=look)
        if claims:
            self._idle.discard(runnable)
        else:
            self._idle.add(runnable)
        return claims

    async def _claim_hidden(self, request: ClaimRequest) -> Sequence[Claim]:
        """Jobs whose keys are not among those looked at so far, all of which were at their limit."""
        look = self._call(self._statements.LIMITED_DUE, **request_parameters(request), beyond=_window(request) - 1)
        (are_more,) = await self._database.run(look)
        lanes = FURTHER_LANES // len({job.name for job in request.known if job.is_limited})
        for _ in range(FURTHER_LOOKS if are_more else 0):
            if claims := await self._claim_limited(request, unlimited=0, lanes=lanes):
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
            window=_window(request),
            lanes=lanes,
            start=f"{self._start:016x}",
        )
        lock = self._statements.LOCK_LIMITS
        calls = [claim] if lock is None else [self._waiting_call(lock), claim]
        starts: list[_Call] = []
        if any(job.rate is not None for job in request.known):
            known = request_parameters(request)["known"]
            starts = [
                self._call(self._statements.RECORD_STARTS, known=known, batch=batch),
                self._call(self._statements.FORGET_STARTS),
            ]
        return await self._run(batch, calls, starts)

    async def _run(
        self, batch: str, calls: list[_Call], more: Sequence[_Call] = (), *, look: _Call | None = None
    ) -> Sequence[Claim]:
        """What these calls claim, in one transaction with more."""
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
            self._packs = False  # their params together are longer than any text may be
            return await self._run(batch, calls, more, look=look)
        return claims_of(rows, batch)

    async def _give_back_unanswered(self) -> None:
        """Put back what claims took whose answer was lost: at the next claim, and once more when they are surely over.

        Otherwise nobody would run these jobs until their leases end, and each would have lost an attempt.
        """
        now = self._clock.monotonic()
        if due := [one for one in self._unanswered if one[0] <= now]:
            batches = json_of([batch for _, batch in due])
            await self._database.run(self._call(self._statements.GIVE_BACK, batches=batches))
            self._unanswered = [one for one in self._unanswered if one not in due]

    async def _relabel(self, request: ClaimRequest) -> None:
        """Let rows follow specs that gained or lost limits: at once for a request that is new, else now and then."""
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
    """Return the request with a limit for which a window of jobs with limits is enough."""
    if request.limited is None:
        return request
    return replace(request, limit=min(request.limit, max(WINDOW // 2, 2 * request.limited)))


def _window(request: ClaimRequest) -> int:
    return max(WINDOW, 2 * request.limit)


def _parameters(request: ClaimRequest) -> dict[str, Value]:
    return {
        **request_parameters(request),
        "limit": request.limit,
        "slots": request.slots,
        "limited": request.limited,
        "lease": milliseconds(request.lease),
    }
