"""Pods, as a place of attempts. A pod takes the claim over, renews its lease and stores the outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from server_jobs.binding import Binding
from server_jobs.concurrency.tasks import is_being_cancelled
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Claim, JobStatus, Outcome
from server_jobs.engine.attempts.attempt import Attempt, SettledElsewhere, Stop
from server_jobs.engine.attempts.failure_log import log_failure_elsewhere
from server_jobs.engine.attempts.places import HandlerCall
from server_jobs.errors import DatabaseError, StaleClaimError

from .claims import ClaimName, Pods

if TYPE_CHECKING:
    from server_jobs.engine.attempts.leases import LeaseKeeper

_logger = logging.getLogger("server_jobs")


class InPod:
    """A pod of a cluster."""

    call = HandlerCall
    is_here = False
    settles = True

    def __init__(self, pods: Pods, store: Store) -> None:
        self._pods = pods
        self._store = store

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """As in `Place`. Raises `PodFailedError` if the pod did not start, or stored no outcome.

        A worker that stops leaves the pod that has taken the claim over.
        """
        del backend
        began, claimed = time.monotonic(), ClaimForPod(attempt, self._store, leases)
        try:
            await attempt.call.wait_for(self._pods.run(claimed))
        except (asyncio.CancelledError, Exception) as error:
            if attempt.stopped is None or (isinstance(error, asyncio.CancelledError) and is_being_cancelled()):
                raise
            if claimed.is_handed_over:
                _logger.info("%s %s goes on in its pod", attempt.claim.job_name, attempt.claim.id)
                return SettledElsewhere(Outcome.RELEASED, None)
            if attempt.stopped is not Stop.LOST:
                raise
        end = await self._end_of(attempt.claim)
        log_failure_elsewhere(attempt, end.outcome, end.error, time.monotonic() - began, place="its pod")
        return end

    async def _end_of(self, claim: Claim) -> SettledElsewhere:
        """Return the outcome that the pod has stored."""
        try:
            stored = [one for one in await self._store.attempts(claim.id) if one.attempt == claim.attempt]
            record = await self._store.get(claim.id)
        except DatabaseError as error:
            return SettledElsewhere(Outcome.LOST, str(error))
        if stored:
            return SettledElsewhere(stored[-1].outcome, stored[-1].error)
        if record is not None and record.status is JobStatus.COMPLETED:
            return SettledElsewhere(Outcome.COMPLETED, None)
        return SettledElsewhere(Outcome.LOST, str(StaleClaimError(claim.id)))


class ClaimForPod:
    """The claim of an attempt, until a pod takes it over; see `PodAttempt`."""

    def __init__(self, attempt: Attempt, store: Store, leases: LeaseKeeper) -> None:
        self.claim = attempt.claim
        self.job = attempt.job
        self.lease = attempt.lease
        self.is_handed_over = False
        self._attempt = attempt
        self._store = store
        self._leases = leases

    async def hand_over(self, boot: timedelta) -> None:
        """As in `PodAttempt`."""
        self.is_handed_over = True
        await self._leases.renew_last(self._attempt, self.lease + boot)

    async def is_current(self) -> bool:
        """As in `PodAttempt`."""
        return ClaimName.of(self.claim).is_newest(await self._store.get(self.claim.id))
