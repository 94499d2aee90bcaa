"""Signs of life of the attempts that run here: one statement for all of them, as often as needed and not more."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from datetime import timedelta

from .clock import Clock
from .executor import Attempt, Stop
from .ports import JobStore
from .record import Hold

_logger = logging.getLogger("server_jobs")

PROGRESS_INTERVAL = timedelta(seconds=1)
CANCEL_INTERVAL = timedelta(seconds=3)


class LeaseKeeper:
    """Renews leases at a third of their length, stores progress once a second, and learns of cancellations in 3 s.

    Stops an attempt whose claim is lost, also when the database could not be reached until its lease had run out: by
    then another worker may have the job. The task that does it lives only while there are attempts.
    """

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._renewed: dict[Attempt, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    def hold(self, attempt: Attempt) -> None:
        """Renew this attempt's lease from now on, if that is not so already."""
        if attempt in self._renewed:
            return
        self._renewed[attempt] = self._clock.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep())

    def release(self, attempt: Attempt) -> None:
        """Leave this attempt's lease alone from now on."""
        self._renewed.pop(attempt, None)
        if not self._renewed and self._task is not None:
            self._task.cancel()
            self._task = None

    def held(self) -> list[Attempt]:
        """The attempts whose leases are renewed."""
        return list(self._renewed)

    def expires_at(self, attempt: Attempt) -> float:
        """The monotonic moment until which this attempt's lease surely lasts."""
        return self._renewed.get(attempt, 0.0) + attempt.lease.total_seconds()

    async def tick(self) -> None:
        """Send the heartbeats that are due."""
        now = self._clock.monotonic()
        due: defaultdict[timedelta, list[Attempt]] = defaultdict(list)
        for attempt, renewed in self._renewed.items():
            if attempt.has_news or now - renewed >= _interval(attempt).total_seconds():
                due[attempt.lease].append(attempt)
        for lease, attempts in due.items():
            await self._renew(attempts, lease, now)

    async def _keep(self) -> None:
        while self._renewed:
            shortest = min(_interval(attempt) for attempt in self._renewed)
            await self._clock.sleep(min(shortest, PROGRESS_INTERVAL).total_seconds())
            await self.tick()

    async def _renew(self, attempts: list[Attempt], lease: timedelta, now: float) -> None:
        heartbeats = [attempt.heartbeat() for attempt in attempts]
        try:
            holds = await self._store.renew(heartbeats, lease)
        except Exception as error:  # noqa: BLE001  nothing may end the task that keeps leases
            self._fail(attempts, now, error)
            return
        if self._is_failing:
            self._is_failing = False
            _logger.warning("leases are being renewed again")
        for attempt, heartbeat, hold in zip(attempts, heartbeats, holds, strict=True):
            attempt.note_stored(heartbeat)
            self._note(attempt, hold, now)

    def _note(self, attempt: Attempt, hold: Hold, now: float) -> None:
        if attempt not in self._renewed:
            return  # settled while the heartbeat was on its way
        match hold:
            case Hold.LOST:
                _logger.warning("the claim on %s %s was lost", attempt.claim.job_name, attempt.claim.id)
                attempt.stop(Stop.LOST)
            case Hold.CANCEL_REQUESTED:
                self._renewed[attempt] = now
                attempt.stop(Stop.CANCELLED)
            case Hold.HELD:
                self._renewed[attempt] = now

    def _fail(self, attempts: list[Attempt], now: float, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            _logger.error("leases cannot be renewed: %s", error)
        for attempt in attempts:
            if attempt in self._renewed and now >= self.expires_at(attempt):
                attempt.stop(Stop.LOST)


def _interval(attempt: Attempt) -> timedelta:
    return min(attempt.lease / 3, CANCEL_INTERVAL)
