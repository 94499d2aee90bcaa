"""The attempts that run in this process: each under a lease while it runs, its outcome stored when it is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from .binding import JobBackend
from .clock import Clock
from .errors import DatabaseError, StaleClaimError
from .executor import Attempt, Stop
from .leases import LeaseKeeper
from .ports import JobStore
from .record import Claim, Failed, JobStatus, Released, Settlement
from .settler import Settler

_logger = logging.getLogger("server_jobs")

_GRACE = timedelta(seconds=0.5)


class Runner:
    """Runs attempts against one store; those of all workers of a backend together, so that writes go in batches."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._leases = LeaseKeeper(store, clock)
        self._settler = Settler(store, clock)
        self._attempts: dict[str, Attempt] = {}

    def attempts(self) -> list[Attempt]:
        """What runs now."""
        return list(self._attempts.values())

    async def run(self, attempt: Attempt, backend: JobBackend) -> tuple[JobStatus | None, str | None]:
        """Run an attempt and store the outcome: the status the job has now (None: the claim was lost), and the error.

        When the caller is cancelled, the job is given back: it is the caller that went away, not the job.
        """
        status: JobStatus | None = None
        self._attempts[attempt.claim.token] = attempt
        self._leases.hold(attempt)
        try:
            settlement = await self._outcome(attempt, backend)
            attempt.is_over = True
            if settlement is not None:
                status = await self._settler.settle(settlement, deadline=self._leases.expires_at(attempt))
        finally:
            self._leave(attempt)
        if status is None:
            return None, str(StaleClaimError(attempt.claim.id))
        return status, settlement.error if isinstance(settlement, Failed) else None

    async def stop(self, attempts: Sequence[Attempt]) -> None:
        """End these attempts and give their jobs back without counting them.

        Waits a moment for handlers to end. What a handler that does not end still writes is refused as stale.
        """
        for attempt in attempts:
            attempt.stop(Stop.SHUTDOWN)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE.total_seconds()):
                for attempt in attempts:
                    await attempt.ended.wait()
        for attempt in attempts:
            if attempt.ended.is_set():
                continue
            claim = attempt.claim
            if attempt.is_over:
                # It must not be given back and run again; its outcome is tried until its lease ends.
                _logger.error("%s %s is over, and its outcome could not be stored so far", claim.job_name, claim.id)
            else:
                self._leave(attempt)
                await self.release(claim)

    async def release(self, claim: Claim) -> None:
        """Give a claimed job back without counting the attempt; if the database is away, its lease runs out instead."""
        try:
            await self._store.settle([Released(id=claim.id, token=claim.token)])
        except DatabaseError as error:
            _logger.error(  # noqa: TRY400  one line, no trace
                "%s %s could not be given back and waits until its lease runs out: %s", claim.job_name, claim.id, error
            )

    async def _outcome(self, attempt: Attempt, backend: JobBackend) -> Settlement | None:
        try:
            return await attempt.run(backend)
        except asyncio.CancelledError:
            await asyncio.shield(self.release(attempt.claim))
            raise

    def _leave(self, attempt: Attempt) -> None:
        self._leases.release(attempt)
        self._attempts.pop(attempt.claim.token, None)
        attempt.ended.set()
