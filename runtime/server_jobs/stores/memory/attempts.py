"""Claim jobs, renew their leases, store their outcomes and expire leases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import random

from ...domain import lifecycle
from ...domain.ids import new_batch, token_of
from ...domain.options import OnConflict
from ...domain.record import (
    Claim,
    ClaimRequest,
    Expired,
    Heartbeat,
    JobRecord,
    JobStatus,
    LeaseAnswer,
    NewJob,
    Settlement,
)
from ...domain.record.reports import WorkerReport
from ...errors import DuplicateJobError
from .enqueue import Enqueuing
from .records import StoredWorker
from .room import Room


class Attempts(Enqueuing):
    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        replaced = None if job.id in self._records else self._replaced.get(job.unique_key or "")
        if replaced is not None:
            raise DuplicateJobError(job.unique_key or "", replaced)
        due_now = job._replace(scheduled_for=None, delay=timedelta(0), on_conflict=OnConflict.KEEP)
        inserted = self.add(due_now)
        if not inserted.created:
            raise DuplicateJobError(job.unique_key or job.id, inserted.id)
        self._dequeue([self._records[job.id]])
        return self._claim(self._records[job.id], new_batch(), lease)

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        chosen = list(self._choose(request))
        self._dequeue(chosen)
        batch = new_batch()
        return [self._claim(record, batch, request.lease, request.worker_id) for record in chosen]

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        record = self._records.get(job_id)
        if record is None or not self._is_claimable(record, request, self._clock.now()):
            return None
        self._dequeue([record])
        return self._claim(record, new_batch(), request.lease, request.worker_id)

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        now = self._clock.now()
        for report in workers:
            started_at = self._workers[report.id].started_at if report.id in self._workers else now
            self._workers[report.id] = StoredWorker(report, started_at, now, now + lease)
        return [self._renew(heartbeat, lease) for heartbeat in heartbeats]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        return [self._settle(settlement) for settlement in settlements]

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        now = self._clock.now()
        over = [record for job_id in self._running if lifecycle.is_expired(record := self._records[job_id], now)]
        lost = [record for record in over if record.fencing_token not in except_for]
        return [self._expire(record, now + jitter * random(), now) for record in lost]  # noqa: S311  spreads load only

    def _waiting(self, request: ClaimRequest) -> Iterator[JobRecord]:
        """Yield pending jobs of the request, the most urgent first, without late jobs and paused queues."""
        now = self._clock.now()
        for _, _, job_id in self._queue:
            record = self._records[job_id]
            if self._is_claimable(record, request, now) and record.queue not in self._paused:
                yield record

    def _is_claimable(self, record: JobRecord, request: ClaimRequest, now: datetime) -> bool:
        """Whether the state machine allows a claim, and no running job that this one replaces is in the way."""
        return lifecycle.is_claimable(record, request, now) and record.unique_key not in self._replaced

    def _choose(self, request: ClaimRequest) -> Iterator[JobRecord]:
        now = self._clock.now()
        room = Room(request.known, (self._records[job_id] for job_id in self._running), self._starts, now)
        left = request.limit
        slots_left = request.limit if request.slots is None else request.slots
        limited_left = request.limit if request.limited is None else request.limited
        for record in self._waiting(request):
            if left <= 0:
                return
            if not lifecycle.is_due(record, now) or not room.is_left_for(record):
                continue
            room.take(record)
            left -= 1
            if not lifecycle.may_wait(record):
                slots_left -= 1
                if slots_left < 0:
                    continue
            elif room.is_limited(record):
                limited_left -= 1
                if limited_left < 0:
                    continue
            room.start(record)
            yield record

    def _claim(self, record: JobRecord, batch: str, lease: timedelta, worker_id: str | None = None) -> Claim:
        token = token_of(batch, record.id)
        claimed = lifecycle.claim(record, token=token, lease=lease, now=self._clock.now(), worker_id=worker_id)
        self._put(claimed)
        return Claim(
            record.id,
            record.job_name,
            record.spec_version,
            record.params,
            claimed.attempt_count,
            record.max_attempts,
            record.correlation_id,
            token,
            record.headers,
            record.scheduled_for,
            record.batch_id,
            record.queue,
        )

    def _renew(self, heartbeat: Heartbeat, lease: timedelta) -> LeaseAnswer:
        record = self._records.get(heartbeat.id)
        if record is None or not lifecycle.is_leased(record, heartbeat.token):
            return LeaseAnswer.LOST
        self._put(lifecycle.renew(record, heartbeat, lease=lease, now=self._clock.now()))
        return LeaseAnswer.CANCEL_REQUESTED if record.cancel_requested else LeaseAnswer.RENEWED

    def _settle(self, settlement: Settlement) -> JobStatus | None:
        record = self._records.get(settlement.id)
        if record is None or not lifecycle.is_leased(record, settlement.token):
            return None
        now = self._clock.now()
        if (attempt := lifecycle.attempt_settled(record, settlement, now)) is not None:
            self._attempts[record.id].append(attempt)
        settled = lifecycle.settle(record, settlement, now)
        self._put(settled)
        return settled.status

    def _expire(self, record: JobRecord, due: datetime, now: datetime) -> Expired:
        expired = lifecycle.expire(record, due=due, now=now)
        self._put(expired)
        self._attempts[record.id].append(lifecycle.attempt_expired(record, now))
        return Expired(expired.id, expired.job_name, expired.status, expired.queue)
