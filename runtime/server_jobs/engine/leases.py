"""Renew the leases of this process, with one statement for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextvars import Context
from datetime import timedelta

from ..domain.clock import Clock
from ..domain.interfaces import Store
from ..domain.record import Hold
from .attempt import Attempt, Stop

_logger = logging.getLogger("server_jobs")

PROGRESS_INTERVAL = timedelta(seconds=1)
CANCEL_INTERVAL = timedelta(seconds=3)
_MOST_FAILURES = 30  # per round of renewals; with more, the database is the problem instead of single rows
_LOOKS = 3  # per interval, so that no renewal is late and a failed one is retried soon


class LeaseKeeper:
    """Renew leases after a third of their length, store progress once a second, and notice cancellations within 3 s.

    Stop an attempt whose claim is lost, or whose lease expired while the database did not answer: another worker may
    have the job then. The background task lives only while there are attempts.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._renewed: dict[Attempt, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._is_failing = False
        self._shortest = timedelta.max

    def hold(self, attempt: Attempt, since: float | None = None) -> None:
        """Renew the lease of this attempt from now on. Does nothing if it is renewed already.

        `since` is a monotonic time at or before the claim; default: now.
        """
        if attempt in self._renewed:
            return
        self._renewed[attempt] = self._clock.monotonic() if since is None else since
        if self._task is not None and attempt.lease < self._shortest:
            self._task.cancel()  # it would wake too late
            self._task = None
        if self._task is None or self._task.done():
            self._shortest = min(held.lease for held in self._renewed)
            self._task = asyncio.get_running_loop().create_task(self._keep(), context=Context())

    def release(self, attempt: Attempt) -> None:
        """Stop renewing the lease of this attempt."""
        self._renewed.pop(attempt, None)
        if not self._renewed and self._task is not None:
            self._task.cancel()
            self._task = None

    def held(self) -> list[Attempt]:
        """The attempts whose leases are renewed."""
        return list(self._renewed)

    def expires_at(self, attempt: Attempt) -> float:
        """Return the monotonic time until which the lease certainly lasts."""
        return self._renewed.get(attempt, 0.0) + attempt.lease.total_seconds()

    def tick(self) -> None:
        """Send the heartbeats that are due. While earlier ones have no answer, stop attempts whose lease expired."""
        now = self._clock.monotonic()
        if self._renewal is not None and not self._renewal.done():
            self._stop_outlived(list(self._renewed), now)
        elif due := self._due(now):
            self._renewal = asyncio.get_running_loop().create_task(self._renew_all(due))

    def _due(self, now: float) -> dict[timedelta, list[Attempt]]:
        """Return the attempts due for renewal, by the length of their leases."""
        due: defaultdict[timedelta, list[Attempt]] = defaultdict(list)
        for attempt, renewed in self._renewed.items():
            if attempt.stopped is Stop.LOST:
                continue
            if attempt.has_news or now - renewed >= _interval(attempt.lease).total_seconds():
                due[attempt.lease].append(attempt)
        return due

    async def _keep(self) -> None:
        while self._renewed:
            self._shortest = min(attempt.lease for attempt in self._renewed)
            await self._clock.sleep(min(_interval(self._shortest) / _LOOKS, PROGRESS_INTERVAL).total_seconds())
            self.tick()

    async def _renew_all(self, due: dict[timedelta, list[Attempt]]) -> None:
        for lease, attempts in due.items():
            await self._renew(attempts, lease, self._clock.monotonic(), [_MOST_FAILURES])

    async def _renew(self, attempts: list[Attempt], lease: timedelta, now: float, budget: list[int]) -> None:
        """Renew these leases. If the database rejects the batch, split it, so that one bad row costs no other lease."""
        error = await self._renew_together(attempts, lease, now)
        if error is None:
            return
        budget[0] -= 1
        if len(attempts) == 1 or budget[0] <= 0 or not await self._is_answering():
            self._fail(attempts, error)
            return
        middle = len(attempts) // 2
        for half in (attempts[:middle], attempts[middle:]):
            await self._renew(half, lease, now, budget)

    async def _is_answering(self) -> bool:
        try:
            await self._store.ping()
        except Exception:  # noqa: BLE001  whatever the reason
            return False
        return True

    async def _renew_together(self, attempts: list[Attempt], lease: timedelta, now: float) -> Exception | None:
        heartbeats = [attempt.heartbeat() for attempt in attempts]
        try:
            holds = await self._store.renew(heartbeats, lease)
        except Exception as error:  # noqa: BLE001  no error may end the task that renews leases
            return error
        if self._is_failing:
            self._is_failing = False
            _logger.warning("leases are being renewed again")
        for attempt, heartbeat, hold in zip(attempts, heartbeats, holds, strict=True):
            if hold is not Hold.BUSY:
                attempt.note_stored(heartbeat)
            self._note(attempt, hold, now)
        return None

    def _note(self, attempt: Attempt, hold: Hold, now: float) -> None:
        if attempt not in self._renewed:
            return  # settled during the heartbeat
        match hold:
            case Hold.LOST:
                if attempt.stopped is not Stop.LOST:
                    _logger.warning("the claim on %s %s was lost", attempt.claim.job_name, attempt.claim.id)
                attempt.stop(Stop.LOST)
            case Hold.CANCEL_REQUESTED:
                self._renewed[attempt] = now
                attempt.stop(Stop.CANCELLED)
            case Hold.HELD:
                self._renewed[attempt] = now
            case Hold.BUSY:
                if now - self._renewed[attempt] >= _interval(attempt.lease).total_seconds() * 2:
                    _logger.warning(
                        "the lease of %s %s cannot be renewed: another transaction has locked its row",
                        attempt.claim.job_name,
                        attempt.claim.id,
                    )
                self._stop_outlived([attempt], self._clock.monotonic())

    def _fail(self, attempts: list[Attempt], error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            _logger.error("leases cannot be renewed: %s", error)
        self._stop_outlived(attempts, self._clock.monotonic())

    def _stop_outlived(self, attempts: list[Attempt], now: float) -> None:
        for attempt in attempts:
            if attempt in self._renewed and now >= self.expires_at(attempt):
                attempt.stop(Stop.LOST)


def _interval(lease: timedelta) -> timedelta:
    return min(lease / 3, CANCEL_INTERVAL)
