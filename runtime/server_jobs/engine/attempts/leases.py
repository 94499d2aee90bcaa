"""Renew the leases of this process, with one statement for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta

from ...domain.clock import Clock
from ...domain.interfaces import Store
from ...domain.record import LeaseAnswer
from ...domain.record.reports import WorkerReport
from ...errors import DatabaseError
from .attempt import Attempt, Stop

_logger = logging.getLogger("server_jobs")

PROGRESS_INTERVAL = timedelta(seconds=1)
CANCEL_INTERVAL = timedelta(seconds=3)
_MOST_FAILURES = 30  # per round of renewals; with more, the database is the problem instead of single rows
_LONGEST_WAIT = 1.0  # seconds for a renewal that is on its way
_CHECKS = 3  # per interval, so that no renewal is late and a failed one is retried soon


@dataclass(slots=True)
class _Reporting:
    """A worker that reports with the renewals, and the monotonic time of its last report."""

    report: WorkerReport
    lease: timedelta
    reported: float = float("-inf")


class LeaseKeeper:
    """Renew each lease after a third of its length, at most 3 s: the renewal also reports cancellations.

    The default lease of 60 s is renewed every 3 s. New progress renews it at the next check, at most 1 s later.

    Stop an attempt whose claim is lost, or whose lease expired while the database did not answer: another worker may
    have the job then. Workers report in the same transactions. The background task lives only while there are attempts
    or workers.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._renewed: dict[Attempt, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._is_failing = False
        self._shortest = timedelta.max
        self._workers: dict[str, _Reporting] = {}

    def add_worker(self, report: WorkerReport, lease: timedelta) -> None:
        """Store the report of a worker now, and again with the renewals until `remove_worker`."""
        worker = self._workers[report.id] = _Reporting(report, lease)
        self._begin(lease)
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._renew_all({}, [worker]), context=Context())

    def stop_reporting(self, worker_id: str) -> None:
        """Store no more reports of this worker."""
        self._workers.pop(worker_id, None)
        self._end_if_idle()

    async def remove_worker(self, worker_id: str) -> None:
        """Forget a worker that stopped reporting. A report that is on its way would bring it back."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal], timeout=_LONGEST_WAIT)
        await self._store.remove_worker(worker_id)

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Renew the leases of these attempts from now on. Skip attempts that are renewed already."""
        for attempt in attempts:
            self._renewed.setdefault(attempt, attempt.claimed)
        if attempts:
            self._begin(min([attempt.lease for attempt in attempts]))

    def remove(self, attempt: Attempt) -> None:
        """Stop renewing the lease of this attempt."""
        self._renewed.pop(attempt, None)
        if not self._renewed:
            self._end_if_idle()

    def check(self, attempt: Attempt, now: float) -> None:
        """Prevent the start of the attempt if its lease may have expired: another worker may have claimed the job.

        This process may have been suspended since the last renewal.
        """
        if now >= self._renewed.get(attempt, 0.0) + attempt.lease.total_seconds():
            attempt.stop(Stop.LOST)

    async def renew_last(self, attempt: Attempt, lease: timedelta) -> None:
        """Renew the lease of this attempt once more, by `lease`, and stop renewing it.

        If the database does not answer, the lease ends as after the renewal before.
        """
        self.remove(attempt)
        if self._renewal is not None:
            await asyncio.wait([self._renewal], timeout=_LONGEST_WAIT)  # it would shorten the lease
        with suppress(DatabaseError):
            await self._store.renew([attempt.heartbeat()], lease, [])

    def _begin(self, lease: timedelta) -> None:
        if self._task is not None and lease < self._shortest:
            self._task.cancel()  # it would wake too late
            self._task = None
        if self._task is None or self._task.done():
            self._shortest = self._shortest_lease()
            self._task = asyncio.get_running_loop().create_task(self._keep(), context=Context())

    def _end_if_idle(self) -> None:
        if not self._renewed and not self._workers and self._task is not None:
            self._task.cancel()
            self._task = None

    def _shortest_lease(self) -> timedelta:
        leases = [attempt.lease for attempt in self._renewed]
        return min(leases + [worker.lease for worker in self._workers.values()])

    def renews(self, attempt: Attempt) -> bool:
        """Whether the lease of this attempt is renewed."""
        return attempt in self._renewed

    def leased(self) -> list[Attempt]:
        """The attempts whose leases are renewed."""
        return list(self._renewed)

    def expires_at(self, attempt: Attempt) -> float:
        """Return the monotonic time until which the lease certainly lasts."""
        return self._renewed.get(attempt, 0.0) + attempt.lease.total_seconds()

    def _renew_due(self) -> None:
        """Send the heartbeats that are due. While earlier ones have no answer, stop attempts whose lease expired."""
        now = self._clock.monotonic()
        if self._renewal is not None and not self._renewal.done():
            self._stop_outlived(list(self._renewed), now)
            return
        due, reporting = self._due(now), self._due_workers(now)
        if due or reporting:
            self._renewal = asyncio.get_running_loop().create_task(self._renew_all(due, reporting))

    def _due_workers(self, now: float) -> list[_Reporting]:
        return [
            worker
            for worker in self._workers.values()
            if now - worker.reported >= _interval(worker.lease).total_seconds()
        ]

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
        while self._renewed or self._workers:
            self._shortest = self._shortest_lease()
            await self._clock.sleep(min(_interval(self._shortest) / _CHECKS, PROGRESS_INTERVAL).total_seconds())
            self._renew_due()

    async def _renew_all(self, due: dict[timedelta, list[Attempt]], reporting: list[_Reporting]) -> None:
        for lease in {**due, **dict.fromkeys(worker.lease for worker in reporting)}:
            workers = [worker for worker in reporting if worker.lease == lease]
            await self._renew(due.get(lease, []), lease, self._clock.monotonic(), [_MOST_FAILURES], workers)

    async def _renew(
        self,
        attempts: list[Attempt],
        lease: timedelta,
        now: float,
        budget: list[int],
        workers: Sequence[_Reporting] = (),
    ) -> None:
        """Renew these leases. If the database rejects the batch, split it, so that one bad row costs no other lease.

        Reports come again with the next renewal.
        """
        error = await self._renew_together(attempts, lease, now, workers)
        if error is None:
            return
        budget[0] -= 1
        if len(attempts) + len(workers) <= 1 or budget[0] <= 0 or not await self._is_answering():
            self._fail(attempts, error)
            return
        if workers:
            await self._renew(attempts, lease, now, budget)
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

    async def _renew_together(
        self, attempts: list[Attempt], lease: timedelta, now: float, workers: Sequence[_Reporting]
    ) -> Exception | None:
        heartbeats = [attempt.heartbeat() for attempt in attempts]
        try:
            stored = await self._store.renew(heartbeats, lease, [worker.report for worker in workers])
            answers = list(zip(attempts, heartbeats, stored, strict=True))
        except Exception as error:  # noqa: BLE001  no error may end the task that renews leases
            return error
        if self._is_failing:
            self._is_failing = False
            _logger.warning("leases are being renewed again")
        for worker in workers:
            worker.reported = now
        for attempt, heartbeat, answer in answers:
            if answer is not LeaseAnswer.BUSY:
                attempt.note_stored(heartbeat)
            self._note(attempt, answer, now)
        return None

    def _note(self, attempt: Attempt, answer: LeaseAnswer, now: float) -> None:
        if attempt not in self._renewed:
            return  # settled during the heartbeat
        match answer:
            case LeaseAnswer.LOST:
                if attempt.stopped is not Stop.LOST and not attempt.place.settles:  # it may have stored the outcome
                    _logger.warning("the claim on %s %s was lost", attempt.claim.job_name, attempt.claim.id)
                attempt.stop(Stop.LOST)
            case LeaseAnswer.CANCEL_REQUESTED:
                self._renewed[attempt] = now
                attempt.stop(Stop.CANCELLED)
            case LeaseAnswer.RENEWED:
                self._renewed[attempt] = now
            case LeaseAnswer.BUSY:
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
