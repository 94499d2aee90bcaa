"""The steps that all claims share: run the statements, read the jobs, and keep the keys of rows current."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ....domain.clock import Clock
from ....domain.interfaces import Database, Statement, Value
from ....domain.record import Claim, ClaimRequest, KnownJob
from ....errors import DatabaseError, ValueTooLargeError
from ..dialect import dialect_of
from ..parameters import LONG_TEXT, BoundCall, MakeCall, json_of, milliseconds, request_parameters
from ..rows import claims_of

LONGEST_CLAIM = timedelta(seconds=10)
"""Longest time that a server continues with a claim after its connection was lost."""
RELABEL_INTERVAL = timedelta(seconds=10)
_DISMISSED_AT_ONCE = 1000
ADOPTED_AT_ONCE = 1000

Runnable = tuple[tuple[KnownJob, ...], tuple[str, ...] | None]
"""The known jobs and the queues of a request."""


class Execution:
    """The way of a claim to the database and back."""

    def __init__(self, database: Database, call: MakeCall, clock: Clock) -> None:
        self._database = database
        self._dialect = dialect_of(database)
        self.statements = self._dialect.statements
        self.call = call
        self._packing = _Packing(is_possible=self._dialect.packs_rows)
        self._unanswered = Unanswered(clock)

    async def is_found(self, statement: Statement, **parameters: Value) -> bool:
        """Return whether a statement that only reads finds a row."""
        (rows,) = await self._database.run(self.call(statement, **parameters))
        return bool(rows)

    async def claim(
        self, batch: str, calls: list[BoundCall], more: Sequence[BoundCall] = (), *, look: BoundCall | None = None
    ) -> Sequence[Claim]:
        """Run these calls in one transaction, and return the claims of the batch.

        With `look`, run them only if that call finds a row.
        """
        is_packed = self._packing.is_on
        claimed = self.statements.PACKED_CLAIMED if is_packed else self.statements.CLAIMED
        answered = [*calls, self.call(claimed, batch=batch)] if claimed is not None else calls
        try:
            rows = (await self._database.run(*answered, *more, look=look))[len(answered) - 1]
        except DatabaseError as error:
            if is_packed and isinstance(error, ValueTooLargeError):
                self._packing.is_on = False
                return await self.claim(batch, calls, more, look=look)
            self._unanswered.add(batch)
            raise
        claims = claims_of(rows, batch)
        self._packing.note(claims)
        return claims

    async def release_unanswered(self) -> None:
        """Release the jobs of claims whose answer was lost.

        Otherwise these jobs would wait for the end of their leases and lose an attempt.
        """
        if batches := self._unanswered.due():
            await self._database.run(self.call(self.statements.RELEASE_UNANSWERED, batches=json_of(batches)))
            self._unanswered.remove_due()


class _Packing:
    """Whether the next claim reads its jobs as one text.

    On SQLite each row is slow. But long params are escaped and parsed again, and one text has a longest length.
    """

    def __init__(self, *, is_possible: bool) -> None:
        self._is_possible = is_possible
        self.is_on = is_possible

    def note(self, claims: Sequence[Claim]) -> None:
        """Pack the next claim if the params of this one were short."""
        if claims and self._is_possible:
            self.is_on = sum([len(claim.params) for claim in claims]) < LONG_TEXT * len(claims)


class Unanswered:
    """Claims whose answer was lost. Their jobs may run nowhere.

    Each is released twice: at the next claim, and again when the server must have ended it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches: list[tuple[float, str]] = []
        self._due: list[tuple[float, str]] = []

    def add(self, batch: str) -> None:
        """Note a claim that failed."""
        now = self._clock.monotonic()
        self._batches += [(now, batch), (now + LONGEST_CLAIM.total_seconds(), batch)]

    def due(self) -> list[str]:
        """Return the batches of the claims to release now."""
        if not self._batches:
            return []
        now = self._clock.monotonic()
        self._due = [one for one in self._batches if one[0] <= now]
        return [batch for _, batch in self._due]

    def remove_due(self) -> None:
        """Note that these are released."""
        self._batches = [one for one in self._batches if one not in self._due]


class Labels:
    """The keys of rows whose spec gained or lost limits: other releases stored them with other keys, or without."""

    def __init__(self, database: Database, call: MakeCall, clock: Clock) -> None:
        self._database = database
        self._statements = dialect_of(database).statements
        self._call = call
        self._clock = clock
        self._known: tuple[KnownJob, ...] = ()
        self._updated_at = float("-inf")

    def note_current(self, request: ClaimRequest) -> None:
        """Note that all rows have the labels of the specs of this request."""
        self._known, self._updated_at = request.known, self._clock.monotonic()

    async def update(self, request: ClaimRequest) -> None:
        """Dismiss jobs that lost their limits, and let running jobs count: for a new request, then at intervals."""
        is_new = request.known != self._known
        if not is_new and self._clock.monotonic() - self._updated_at < RELABEL_INTERVAL.total_seconds():
            return
        parameters = request_parameters(request)
        calls = [self._call(self._statements.DISMISS, **parameters, limit=_DISMISSED_AT_ONCE)]
        if any(job.is_limited for job in request.known):
            calls.append(self._call(self._statements.ADOPT_RUNNING, known=parameters["known"]))
        dismissed, *_ = await self._database.run(*calls)
        if len(dismissed) < _DISMISSED_AT_ONCE:
            self.note_current(request)

    async def adopt(self, request: ClaimRequest) -> bool:
        """Give keys to the most urgent jobs that lack them, and return whether jobs with limits are due."""
        parameters = request_parameters(request)
        peek = self._call(self._statements.LIMITED_DUE, **parameters, beyond=0)
        keyless, due = await self._database.run(self._call(self._statements.ADOPTABLE, **parameters), peek)
        if keyless:
            limit = max(request.limit, ADOPTED_AT_ONCE)
            _, due = await self._database.run(self._call(self._statements.ADOPT, **parameters, limit=limit), peek)
        return bool(due)


def parameters_of(request: ClaimRequest) -> dict[str, Value]:
    """Return the parameters that all claims share."""
    return {
        **request_parameters(request),
        "limit": request.limit,
        "slots": request.slots,
        "lease": milliseconds(request.lease),
        "worker_id": request.worker_id,
    }
