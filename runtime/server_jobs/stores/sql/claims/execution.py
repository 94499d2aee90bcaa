"""Run the statements of a claim, and read its jobs."""

from __future__ import annotations

from collections.abc import Sequence

from ....domain.clock import Clock
from ....domain.interfaces import Database, Statement, Value
from ....domain.record import Claim, ClaimRequest
from ....errors import DatabaseError, ValueTooLargeError
from ..call_maker import BoundCall, MakeCall
from ..dialect import dialect_of
from ..parameters import LONG_TEXT, json_of, milliseconds, request_parameters
from ..rows import claims_of
from .unanswered import Unanswered


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


def parameters_of(request: ClaimRequest) -> dict[str, Value]:
    """Return the parameters that all claims share."""
    return {
        **request_parameters(request),
        "limit": request.limit,
        "slots": request.slots,
        "lease": milliseconds(request.lease),
        "worker_id": request.worker_id,
    }
