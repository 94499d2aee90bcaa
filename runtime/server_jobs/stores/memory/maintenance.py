"""End batches, cancel late jobs, delete old rows and record workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from operator import add

from ...domain import lifecycle
from ...domain.ids import oldest_id
from ...domain.record import (
    MOST_LATE,
    PRUNE_STEP,
    ClaimRequest,
    JobRecord,
    JobStatus,
    LateJob,
    PendingWork,
    Pruned,
    PruneRule,
    PruneStep,
    UpcomingWork,
)
from ...domain.record.reports import (
    COUNT_RETENTION,
    TICK_LEASE,
    TICK_REPORT_INTERVAL,
    WORKER_RETENTION,
    Counts,
    JobCounts,
    WorkerReport,
)
from .read import Reading
from .records import StoredWorker
from .schedules import Schedules


class Maintenance(Reading, Schedules):
    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        now, ended = self._clock.now(), list(self._ended_batches(batch_ids))
        for completion in ended:
            self._put(lifecycle.end_batch(completion, now))
        return [completion.id for completion in ended]

    def _ended_batches(self, batch_ids: Sequence[str] | None = None) -> Iterator[JobRecord]:
        """Yield the completion jobs that wait for a batch that has ended."""
        for batch_id in list(self._batches) if batch_ids is None else batch_ids:
            completion = self._records.get(batch_id)
            if completion is not None and completion.status is JobStatus.PENDING and completion.waits_for_batch:
                jobs = self._batches[batch_id] - {batch_id}
                if all(self._records[job_id].status.is_finished for job_id in jobs):
                    yield completion

    async def cancel_late(self) -> Sequence[LateJob]:
        now = self._clock.now()
        expiring = map(self._records.__getitem__, sorted(self._expiring))
        late = list(islice((record for record in expiring if lifecycle.is_late(record, now)), MOST_LATE))
        for record in late:
            self._put(lifecycle.cancel_late(record, now))
        return [LateJob(record.id, record.job_name) for record in late]

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        now = self._clock.now()
        expired = any(lifecycle.is_expired(self._records[job_id], now) for job_id in self._running)
        schedules = await self.due_schedules([job.name for job in request.known])
        last = None if tick is None else self._workers.get(tick.id)
        is_reported = tick is None or (
            last is not None and last.report.known == tick.known and now - last.last_seen_at < TICK_REPORT_INTERVAL
        )
        return PendingWork(
            expired,
            bool(schedules.schedules),
            bool(await self.count_due(request)),
            not is_reported,
            any(True for _ in self._ended_batches()),
            any(lifecycle.is_late(self._records[job_id], now) for job_id in self._expiring),
        )

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        now, names = self._clock.now(), {job.name for job in request.known}
        running = map(self._records.__getitem__, self._running)
        schedules = [one for one in self._schedules.values() if one.enabled and one.job_name in names]
        due = [record.scheduled_for for record in self._waiting(request)]
        return UpcomingWork(
            _wait(now, due),
            _wait(now, [record.worker_expires_at or now for record in running if lifecycle.is_asked(record, request)]),
            _wait(now, [schedule.next_run_at or now for schedule in schedules]),
            _wait(now, [moment for moment in due if moment > now]),
        )

    async def prune(self, step: PruneStep) -> Pruned:
        now = self._clock.now()
        looked_at = self._scanned(step.after, step.limit)
        recent = now - lifecycle.shortest_age(step.rules)
        are_recent = all(self._records[one].created_at >= recent for one in looked_at)
        is_last = len(looked_at) < step.limit or (are_recent and looked_at[-1] >= oldest_id(recent))
        prunable = [
            job_id
            for job_id in (looked_at if step.ids is None else dict.fromkeys(step.ids))
            if (record := self._matching(job_id, step.among)) is not None
            and lifecycle.is_prunable(record, step.rules, now)
        ]
        if not step.dry_run:
            for job_id in prunable:
                self._remove(job_id)
        return Pruned(len(prunable), None if is_last else looked_at[-1])

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = PRUNE_STEP) -> Pruned:
        before = self._pruned_to
        pruned = await self.prune(PruneStep(rules=tuple(rules), after=before, limit=limit))
        self._pruned_to = before if pruned.count else pruned.after or ""
        return Pruned(pruned.count, before) if pruned.count else pruned

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        minute = self._clock.now().replace(second=0, microsecond=0)
        for one in counts:
            for place in ((minute, one.queue, one.job_name), (None, one.queue, one.job_name)):
                before = self._counts.get(place, Counts())
                self._counts[place] = Counts(*map(add, before, one.counts))

    async def forget_counts(self) -> int:
        since = self._clock.now() - COUNT_RETENTION
        old = [place for place in self._counts if place[0] is not None and place[0] < since]
        for place in old:
            del self._counts[place]
        return len(old)

    async def report_tick(self, report: WorkerReport) -> None:
        now = self._clock.now()
        last = self._workers.get(report.id, StoredWorker(report, now, now, now))
        lease = max(TICK_LEASE, 2 * (now - last.last_seen_at))
        self._workers[report.id] = StoredWorker(report, last.started_at, now, now + lease)

    async def remove_worker(self, worker_id: str) -> None:
        self._workers.pop(worker_id, None)

    async def forget_workers(self) -> int:
        since = self._clock.now() - WORKER_RETENTION
        forgotten = [worker_id for worker_id, worker in self._workers.items() if worker.expires_at < since]
        for worker_id in forgotten:
            del self._workers[worker_id]
        return len(forgotten)


def _wait(now: datetime, moments: Sequence[datetime]) -> timedelta | None:
    return max(timedelta(0), min(moments) - now) if moments else None
