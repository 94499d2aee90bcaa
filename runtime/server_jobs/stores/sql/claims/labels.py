"""Keep the keys of rows as the specs state them today."""

from __future__ import annotations

from datetime import timedelta

from ....domain.clock import Clock
from ....domain.interfaces import Database
from ....domain.record import ClaimRequest, KnownJob
from ..call_maker import MakeCall
from ..dialect import dialect_of
from ..parameters import request_parameters

RELABEL_INTERVAL = timedelta(seconds=10)
_DISMISSED_AT_ONCE = 1000
ADOPTED_AT_ONCE = 1000


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
