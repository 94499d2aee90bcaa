"""The stored records, and the indexes of pending, running and unique jobs."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from ...domain.audit import AuditAction, log_entry
from ...domain.clock import Clock, SystemClock
from ...domain.history import ATTEMPTS_KEPT, AttemptRecord
from ...domain.ids import new_job_id
from ...domain.record import JobFilter, JobRecord, JobStatus, ScheduleRecord
from ...domain.record.audit import AuditRecord
from ...domain.record.reports import Counts, WorkerReport
from ...domain.search import matches
from ...errors import JobNotFoundError
from .room import Starts

_Place = tuple[int, datetime, str]


class StoredWorker(NamedTuple):
    report: WorkerReport
    started_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Records:
    name = "memory"

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._records: dict[str, JobRecord] = {}
        self._queue: list[_Place] = []
        self._running: set[str] = set()
        self._expiring: set[str] = set()
        self._unfinished_keys: dict[str, str] = {}
        self._batches: defaultdict[str, set[str]] = defaultdict(set)
        self._replaced: dict[str, str] = {}
        self._schedules: dict[str, ScheduleRecord] = {}
        self._current_sets: dict[str, tuple[str, datetime]] = {}
        self._known_sets: dict[str, set[str]] = {}
        self._marks: dict[str, Literal["declared", "withdrawn"]] = {}
        self._paused: dict[str, datetime] = {}
        self._starts: Starts = {}
        self._pruned_to = ""
        self._audit: list[AuditRecord] = []
        self._attempts: defaultdict[str, deque[AttemptRecord]] = defaultdict(lambda: deque(maxlen=ATTEMPTS_KEPT))
        self._workers: dict[str, StoredWorker] = {}
        self._counts: dict[tuple[datetime | None, str, str], Counts] = {}

    def _matching(self, job_id: str, among: JobFilter) -> JobRecord | None:
        record = self._records.get(job_id)
        return record if record is not None and matches(record, among, self._clock.now()) else None

    def _remove(self, job_id: str) -> None:
        """Forget a job that is not pending or running."""
        record = self._records.pop(job_id)
        self._attempts.pop(job_id, None)
        self._leave_batch(record)

    def _leave_batch(self, record: JobRecord) -> None:
        if record.batch_id is not None:
            self._batches[record.batch_id].discard(record.id)
            if not self._batches[record.batch_id]:
                del self._batches[record.batch_id]

    def _enter(
        self, action: AuditAction, by: str, target: str, job_name: str | None = None, detail: str | None = None
    ) -> None:
        """Add an entry to the audit log."""
        self._audit.append(
            AuditRecord(
                id=new_job_id(),
                at=self._clock.now(),
                actor=by,
                action=action,
                target=target,
                job_name=job_name,
                detail=detail,
            )
        )
        log_entry(action, by, target, detail)

    def _put(self, record: JobRecord) -> None:
        """Store a record and update the indexes of pending, running and unique jobs."""
        before = self._records.get(record.id)
        self._records[record.id] = record
        if before is not None and before.batch_id != record.batch_id:
            self._leave_batch(before)
        if record.batch_id is not None:
            self._batches[record.batch_id].add(record.id)
        if record.status is JobStatus.RUNNING:
            self._running.add(record.id)
        else:
            self._running.discard(record.id)
        if record.status is JobStatus.PENDING and record.start_before is not None:
            self._expiring.add(record.id)
        else:
            self._expiring.discard(record.id)
        if before is not None and before.status is JobStatus.PENDING and record.status is not JobStatus.RUNNING:
            self._dequeue([before])
        if record.status is JobStatus.PENDING:
            insort(self._queue, place_of(record))
        if record.unique_key is not None:
            owns_key = not record.status.is_finished and record.replaced_by is None
            _note_owner(self._unfinished_keys, record, owns_key=owns_key)
            is_replaced = record.status is JobStatus.RUNNING and record.replaced_by is not None
            _note_owner(self._replaced, record, owns_key=is_replaced)

    def _dequeue(self, records: Sequence[JobRecord]) -> None:
        """Remove pending jobs, given in the order of the queue. Adjacent jobs take one step."""
        if not records:
            return
        start, stop = (
            bisect_left(self._queue, place_of(records[0])),
            bisect_left(self._queue, place_of(records[-1])) + 1,
        )
        if stop - start == len(records):
            del self._queue[start:stop]
        else:
            gone = {record.id for record in records}
            self._queue[start:stop] = [place for place in self._queue[start:stop] if place[2] not in gone]

    def _find(self, job_id: str) -> JobRecord:
        record = self._records.get(job_id)
        if record is None:
            raise JobNotFoundError(job_id)
        return record


def _note_owner(owners: dict[str, str], record: JobRecord, *, owns_key: bool) -> None:
    """Note whether the job is the owner of its unique key."""
    key = record.unique_key or ""
    if owns_key:
        owners[key] = record.id
    elif owners.get(key) == record.id:
        del owners[key]


def place_of(record: JobRecord) -> _Place:
    return (-record.priority, record.scheduled_for, record.id)
