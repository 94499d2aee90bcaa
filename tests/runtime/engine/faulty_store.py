"""A store that fails on demand and counts its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from server_jobs import DatabaseError
from server_jobs.domain.record import (
    PRUNE_STEP,
    Claim,
    ClaimRequest,
    DueSchedules,
    Expired,
    Firing,
    Heartbeat,
    JobStatus,
    LeaseAnswer,
    PendingWork,
    Pruned,
    PruneRule,
    Settlement,
    UpcomingWork,
)
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock


class FaultyStore(MemoryStore):
    """Jobs in memory. Methods named in `broken` raise their error; `calls` counts; `after` runs when one is through."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        super().__init__(clock)
        self.broken: dict[str, Exception] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.calls: Counter[str] = Counter()
        self.heartbeats: list[Heartbeat] = []
        self.settlements: list[Sequence[Settlement]] = []

    def break_down(self, *methods: str, error: Exception | None = None) -> None:
        """Let these methods fail from now on."""
        for method in methods:
            self.broken[method] = error or DatabaseError(f"the database is away ({method})")

    def mend(self) -> None:
        """Let every method work from now on."""
        self.broken.clear()

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        self._ask("claim")
        claims = await super().claim(request)
        self._end("claim")
        return claims

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        self._ask("renew")
        self.heartbeats += heartbeats
        return await super().renew(heartbeats, lease, workers)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        self._ask("settle")
        self.settlements.append(settlements)
        return await super().settle(settlements)

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        self._ask("expire")
        return await super().expire(jitter=jitter, except_for=except_for)

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        self._ask("pending_work")
        return await super().pending_work(request, tick)

    async def report_tick(self, report: WorkerReport) -> None:
        self._ask("report_tick")
        await super().report_tick(report)

    async def forget_workers(self) -> int:
        self._ask("forget_workers")
        return await super().forget_workers()

    async def forget_counts(self) -> int:
        self._ask("forget_counts")
        return await super().forget_counts()

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        self._ask("upcoming_work")
        return await super().upcoming_work(request)

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        self._ask("due_schedules")
        return await super().due_schedules(job_names)

    async def fire(self, firing: Firing) -> Sequence[bool]:
        self._ask("fire")
        self._ask(f"fire {firing.schedule_id}")
        return await super().fire(firing)

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = PRUNE_STEP) -> Pruned:
        self._ask("prune_next")
        return await super().prune_next(rules, limit=limit)

    async def ping(self) -> None:
        self._ask("ping")

    def _ask(self, method: str) -> None:
        self.calls[method] += 1
        if method in self.broken:
            raise self.broken[method]

    def _end(self, method: str) -> None:
        if method in self.after:
            self.after[method]()
