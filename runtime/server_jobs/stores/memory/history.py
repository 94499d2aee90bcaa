"""Read statistics, earlier attempts, workers, and the waits of a job."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from ...domain import lifecycle
from ...domain.history import MOST_AHEAD, MOST_HELD, MOST_HOLDERS, AttemptRecord, Blockers, WorkerRecord
from ...domain.record import JobRecord, JobStatus, KnownJob, Outcome
from ...domain.statistics import ENQUEUE_WINDOW, EnqueuedCount, FailureGroup, MinuteCounts, QueueState, at_most
from .attempts import Attempts
from .records import place_of


class History(Attempts):
    async def queue_states(self, *, most: int | None = None, most_failed: int | None = None) -> Sequence[QueueState]:
        now, most_failed = self._clock.now(), most if most_failed is None else most_failed
        kept = (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.FAILED)
        groups: defaultdict[tuple[str, str], list[JobRecord]] = defaultdict(list)
        for record in self._records.values():
            if record.status in kept:
                groups[record.queue, record.job_name].append(record)
        return [
            _state(queue, name, records, now, most, most_failed) for (queue, name), records in sorted(groups.items())
        ]

    async def failure_groups(
        self, *, queues: Sequence[str] | None = None, most: int | None = None
    ) -> Sequence[FailureGroup]:
        groups: defaultdict[tuple[str, str], list[JobRecord]] = defaultdict(list)
        for record in self._records.values():
            if record.status is JobStatus.FAILED and (queues is None or record.queue in queues):
                groups[record.job_name, record.error_class or ""].append(record)
        newest = {key: max(records, key=lambda record: record.id) for key, records in groups.items()}
        return [
            FailureGroup(
                job_name=newest[key].job_name,
                error_class=newest[key].error_class,
                count=at_most(len(groups[key]), most),
                newest_id=newest[key].id,
                error=newest[key].error,
                failed_at=newest[key].completed_at,
            )
            for key in sorted(groups)
        ]

    async def enqueued_counts(self) -> Sequence[EnqueuedCount]:
        since = self._clock.now() - ENQUEUE_WINDOW
        recent = (record for record in self._records.values() if record.created_at > since)
        counts = Counter((record.queue, record.job_name) for record in recent)
        return [EnqueuedCount(*place, count) for place, count in sorted(counts.items())]

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        found = [MinuteCounts(*place, counts) for place, counts in self._counts.items()]
        if since is None:
            return sorted(one for one in found if one.minute is None)
        return sorted(one for one in found if one.minute is not None and one.minute >= since)

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        return list(self._attempts.get(job_id, ()))

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        now, place = self._clock.now(), place_of(record)
        queued = (self._records[job_id] for before in self._queue if before < place for job_id in before[2:])
        ahead = sum(
            one.queue == record.queue and (one.job_name, one.spec_version) in known and lifecycle.is_due(one, now)
            for one in queued
        )
        holders: list[str] = []
        if job is not None and job.concurrency is not None:
            running = [self._records[job_id] for job_id in sorted(self._running)]
            key = (record.job_name, record.concurrency_key or "")
            holders = [one.id for one in running if (one.job_name, one.concurrency_key) == key]
            holders = holders[:MOST_HOLDERS] if len(holders) >= job.concurrency.limit else []
        starts: list[datetime] = []
        if job is not None and job.rate is not None:
            every = self._starts.get(record.job_name, {}).get(record.rate_key or "", ())
            starts = sorted((start for start in every if start >= now - job.rate.per), reverse=True)
        free_at = None
        if job is not None and job.rate is not None and len(starts) >= job.rate.limit:
            free_at = starts[job.rate.limit - 1] + job.rate.per
        replaced = self._replaced.get(record.unique_key or "")
        return Blockers(
            now=now, ahead=min(ahead, MOST_AHEAD), holders=tuple(holders), rate_free_at=free_at, replaced=replaced
        )

    async def workers(self) -> Sequence[WorkerRecord]:
        running, now = Counter(self._records[job_id].worker_id for job_id in self._running), self._clock.now()
        return [
            WorkerRecord(
                report=worker.report,
                started_at=worker.started_at,
                last_seen_at=worker.last_seen_at,
                is_alive=worker.expires_at >= now,
                running=running[worker_id],
            )
            for worker_id, worker in sorted(self._workers.items())
        ]

    async def held_jobs(self, worker_id: str) -> Sequence[str]:
        held = {job_id for job_id in self._running if self._records[job_id].worker_id == worker_id}
        held |= {
            attempt.job_id
            for attempts in self._attempts.values()
            for attempt in attempts
            if attempt.worker_id == worker_id and attempt.outcome is Outcome.EXPIRED
        }
        return sorted(held)[:MOST_HELD]


def _state(
    queue: str, job_name: str, records: Sequence[JobRecord], now: datetime, most: int | None, most_failed: int | None
) -> QueueState:
    pending = [record for record in records if record.status is JobStatus.PENDING]
    due = [record for record in pending if lifecycle.is_due(record, now)]
    due_at, oldest_id = min(((record.scheduled_for, record.id) for record in due), default=(None, None))
    versions = Counter(record.spec_version for record in pending)
    return QueueState(
        queue=queue,
        job_name=job_name,
        due=at_most(len(due), most),
        oldest_due_at=due_at,
        oldest_due_id=oldest_id,
        scheduled=at_most(len(pending) - len(due), most),
        running=at_most(sum(record.status is JobStatus.RUNNING for record in records), most),
        failed=at_most(sum(record.status is JobStatus.FAILED for record in records), most_failed),
        parked=at_most(sum(record.is_parked for record in records), most_failed),
        versions=tuple((version, at_most(count, most)) for version, count in sorted(versions.items())),
    )
