"""The store in memory. Every method runs within one turn of the event loop, so that it is atomic."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from operator import add
from random import random
from typing import Literal, NamedTuple

from ..domain import lifecycle
from ..domain.audit import APPLICATION, AUDIT_RETENTION, AuditAction, AuditQuery, AuditRecord, log_entry
from ..domain.clock import Clock, SystemClock
from ..domain.history import (
    ATTEMPTS_KEPT,
    MOST_AHEAD,
    MOST_HELD,
    MOST_HOLDERS,
    TICK_LEASE,
    TICK_REPORT_INTERVAL,
    WORKER_RETENTION,
    AttemptRecord,
    Blockers,
    WorkerRecord,
    WorkerReport,
)
from ..domain.ids import new_batch, new_job_id, token_of
from ..domain.options import OnConflict
from ..domain.record import (
    EVERY_JOB,
    MOST_LATE,
    PRUNE_STEP,
    Cancellation,
    Claim,
    ClaimRequest,
    Declaration,
    Deletion,
    DueSchedules,
    Expired,
    Firing,
    Heartbeat,
    Inserted,
    JobCount,
    JobFilter,
    JobQuery,
    JobRecord,
    JobStatus,
    JobSummary,
    KnownJob,
    LateJob,
    LeaseAnswer,
    NewJob,
    Outcome,
    PausedQueue,
    PendingWork,
    Pruned,
    PruneRule,
    PruneStep,
    Repair,
    Retrial,
    ScheduleRecord,
    Settlement,
)
from ..domain.search import FindStep, Found, FoundJob, JobPage, matches, search_document
from ..domain.statistics import (
    COUNT_RETENTION,
    ENQUEUE_WINDOW,
    BatchCounts,
    Counts,
    EnqueuedCount,
    FailureGroup,
    JobCounts,
    MinuteCounts,
    QueueState,
    at_most,
)
from ..domain.text_limits import LONGEST_NAME, check_text
from ..errors import DuplicateJobError, JobNotFoundError, JobNotRepairableError, JobNotRetryableError
from .room import Room, Starts

_Place = tuple[int, float, str]


class _StoredWorker(NamedTuple):
    report: WorkerReport
    started_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class MemoryStore:
    """A store for tests, and for jobs that may be lost when the process ends.

    It keeps the same records as a database. `lifecycle` makes every move.
    """

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
        self._workers: dict[str, _StoredWorker] = {}
        self._counts: dict[tuple[datetime | None, str, str], Counts] = {}

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing. The jobs live as long as this object."""

    async def ping(self) -> None:
        """Do nothing."""

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Do nothing: no other process has access."""
        del wake
        return lambda: None

    def add(self, job: NewJob) -> Inserted:
        """Like `insert` for one job, without `await`."""
        if job.id in self._records:
            return Inserted(job.id, created=False)
        if self._free(job):
            job = job._replace(batch_id=None)  # as in a database, where the batch may have ended
        now = self._clock.now()
        if job.unique_key is not None and (owner := self._unfinished_keys.get(job.unique_key)) is not None:
            if job.on_conflict is OnConflict.KEEP:
                return Inserted(owner, created=False)
            record = self._records[owner]
            if record.status is JobStatus.PENDING:
                self._put(lifecycle.replace(record, job, now))
                return Inserted(owner, created=False)
            self._put(lifecycle.supersede(record, job, now))
        self._put(lifecycle.enqueue(job, now))
        return Inserted(job.id, created=True)

    def _free(self, job: NewJob) -> bool:
        """Cancel a late job with the unique key of this job. Return whether there was one."""
        owner = None if job.unique_key is None else self._unfinished_keys.get(job.unique_key)
        if owner is None or not lifecycle.is_late(self._records[owner], self._clock.now()):
            return False
        self._put(lifecycle.cancel_late(self._records[owner], self._clock.now()))
        return True

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        return [self.add(job) for job in jobs]

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
            self._workers[report.id] = _StoredWorker(report, started_at, now, now + lease)
        return [self._renew(heartbeat, lease) for heartbeat in heartbeats]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        return [self._settle(settlement) for settlement in settlements]

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        now = self._clock.now()
        over = [record for job_id in self._running if lifecycle.is_expired(record := self._records[job_id], now)]
        lost = [record for record in over if record.fencing_token not in except_for]
        return [self._expire(record, now + jitter * random(), now) for record in lost]  # noqa: S311  spreads load only

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

    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        self._find(job_id)
        return self._cancel(job_id, EVERY_JOB, by, None)

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        answers = {job_id: self._cancel(job_id, among, by, detail) for job_id in dict.fromkeys(job_ids)}
        return [answers[job_id] for job_id in job_ids]

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        record = self._find(job_id)
        match self._retry(job_id, EVERY_JOB, by, None):
            case Retrial.NOT_RETRYABLE:
                raise JobNotRetryableError(job_id, record.status)
            case Retrial.DUPLICATE:
                key = record.unique_key or ""
                raise DuplicateJobError(key, self._unfinished_keys[key])
            case _:
                return

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        answers = {job_id: self._retry(job_id, among, by, detail) for job_id in sorted(set(job_ids))}
        return [answers[job_id] for job_id in job_ids]

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        record = self._find(repair.instead_of.id)
        if not lifecycle.is_repairable(record, repair):
            raise JobNotRepairableError(record.id, lifecycle.unrepairable_reason(record))
        owner = None if record.unique_key is None else self._unfinished_keys.get(record.unique_key)
        if record.unique_key is not None and owner not in (None, record.id):
            raise DuplicateJobError(record.unique_key, owner or "")
        self._put(lifecycle.repair(record, repair, self._clock.now()))
        detail = f"version {record.spec_version} to {repair.spec_version}"
        self._enter(AuditAction.REPAIR, by, record.id, record.job_name, detail)

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        answers = {job_id: self._delete(job_id, among, by, detail) for job_id in dict.fromkeys(job_ids)}
        return [answers[job_id] for job_id in job_ids]

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        await self.forget_audit()
        found = (
            entry
            for entry in reversed(self._audit)
            if query.actor in (None, entry.actor)
            and query.target in (None, entry.target)
            and query.action in (None, entry.action)
            and (query.before is None or entry.id < query.before)
        )
        return list(islice(found, query.limit))

    async def forget_audit(self) -> int:
        since, before = self._clock.now() - AUDIT_RETENTION, len(self._audit)
        self._audit = [entry for entry in self._audit if entry.at >= since]
        return before - len(self._audit)

    async def get(self, job_id: str) -> JobRecord | None:
        return self._records.get(job_id)

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return self._listed(query)

    async def summary(self, job_id: str) -> JobSummary | None:
        record = self._records.get(job_id)
        return None if record is None else record.summary

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        stored = self._batches.get(batch_id)
        counts = Counter(self._records[job_id].status.value for job_id in stored or () if job_id != batch_id)
        return BatchCounts(**counts) if stored else None

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        stored = self._batches.get(batch_id, set()) - {batch_id}
        return sorted(job_id for job_id in stored if self._records[job_id].job_name == job_name)

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        return [record.summary for record in self._listed(query)]

    async def find(self, step: FindStep) -> Found:
        wanted, now = step.filter, self._clock.now()
        scanned = self._scanned(step.after, step.size, newest_first=step.newest_first)
        matching = (one for one in map(self._records.__getitem__, scanned) if matches(one, wanted, now))
        found = (
            search_document(wanted, FoundJob(one.id, one.job_name, one.status), one.params, one.result)
            for one in matching
        )
        return Found(tuple(job for job in found if job), scanned[-1] if len(scanned) == step.size else None)

    async def find_page(self, query: JobQuery) -> JobPage:
        found = self._listed(query)
        is_last = len(found) < query.limit or not self._listed(replace(query, before=found[-1].id, limit=1))
        return JobPage(tuple(record.preview for record in found), None if is_last else found[-1].id)

    def _scanned(self, after: str, limit: int, *, newest_first: bool = False) -> list[str]:
        """Return the ids of one step of a scan."""
        if newest_first:
            return sorted((job_id for job_id in self._records if not after or job_id < after), reverse=True)[:limit]
        return sorted(job_id for job_id in self._records if job_id > after)[:limit]

    async def count_jobs(self, *, since: datetime | None = None) -> Sequence[JobCount]:
        counted = [record for record in self._records.values() if since is None or record.created_at >= since]
        counts = Counter((record.job_name, record.status) for record in counted)
        parked = Counter((record.job_name, record.status) for record in counted if record.is_parked)
        return [JobCount(name, status, count, parked[name, status]) for (name, status), count in sorted(counts.items())]

    async def count_due(self, request: ClaimRequest) -> int:
        now = self._clock.now()
        return sum(lifecycle.is_due(record, now) for record in self._waiting(request))

    async def next_due(self, request: ClaimRequest) -> timedelta | None:
        now = self._clock.now()
        waits = [(record.scheduled_for or now) - now for record in self._waiting(request)]
        return max(timedelta(0), min(waits)) if waits else None

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        for schedule in schedules:
            stored = self._schedules.get(schedule.id)
            self._schedules[schedule.id] = schedule if stored is None else _merged(stored, schedule)

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        withdrawn: list[ScheduleRecord] = []
        for declaration in declarations:
            if self._takes_over(declaration, grace):
                withdrawn += self._withdrawn_by(declaration)
                await self._store_declared(declaration)
        return withdrawn

    def _takes_over(self, declaration: Declaration, grace: timedelta) -> bool:
        """Note a declaration of this set. Return whether it becomes the current one."""
        name, now = declaration.job_name, self._clock.now()
        if not declaration.schedules and all(stored.job_name != name for stored in self._schedules.values()):
            return False
        known = self._known_sets.setdefault(name, set())
        current, seen = self._current_sets.get(name, (None, now))
        is_new = declaration.fingerprint not in known
        if declaration.fingerprint != current and not is_new and now - seen <= grace:
            return False
        known.add(declaration.fingerprint)
        self._current_sets[name] = (declaration.fingerprint, now)
        return declaration.fingerprint != current

    def _withdrawn_by(self, declaration: Declaration) -> list[ScheduleRecord]:
        declared = {schedule.id for schedule in declaration.schedules}
        withdrawn = [
            replace(stored, enabled=False, next_run_at=None)
            for stored in self._schedules.values()
            if stored.enabled
            and stored.job_name == declaration.job_name
            and stored.id not in declared
            and self._marks.get(stored.id) == "declared"
        ]
        for schedule in withdrawn:
            self._schedules[schedule.id] = schedule
            self._marks[schedule.id] = "withdrawn"
        return withdrawn

    async def _store_declared(self, declaration: Declaration) -> None:
        await self.save_schedules(declaration.schedules)
        for schedule in declaration.schedules:
            if self._marks.get(schedule.id) == "withdrawn":
                self._schedules[schedule.id] = replace(self._schedules[schedule.id], enabled=True)
            self._marks[schedule.id] = "declared"

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return sorted(self._schedules.values(), key=lambda schedule: (schedule.job_name, schedule.name))

    async def enable_schedule(self, schedule_id: str, *, enabled: bool) -> bool:
        schedule = self._schedules.get(schedule_id)
        if schedule is None:
            return False
        next_run_at = schedule.next_run_at if enabled and schedule.enabled else None
        self._schedules[schedule_id] = replace(schedule, enabled=enabled, next_run_at=next_run_at)
        if self._marks.get(schedule_id) == "withdrawn":
            del self._marks[schedule_id]
        return True

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        now = self._clock.now()
        due = tuple(
            schedule
            for schedule in await self.list_schedules()
            if schedule.enabled
            and schedule.job_name in job_names
            and (schedule.next_run_at is None or schedule.next_run_at <= now)
        )
        return DueSchedules(now, due)

    async def fire(self, firing: Firing) -> Sequence[bool]:
        for _, job in firing.slots:
            self._free(job)
        schedule = self._schedules.get(firing.schedule_id)
        if schedule is None or not schedule.enabled:
            return [False for _ in firing.slots]
        made = [_is_new_slot(schedule, slot) and self.add(job).created for slot, job in firing.slots]
        for (slot, job), created in zip(firing.slots, made, strict=True):
            if _is_new_slot(schedule, slot):
                last_job_id = job.id if created else schedule.last_job_id
                schedule = replace(schedule, last_run_at=slot, last_job_id=last_job_id)
        if firing.rule == (schedule.cron_expression, schedule.timezone):
            schedule = replace(schedule, next_run_at=firing.next_run_at)
        self._schedules[schedule.id] = schedule
        return made

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        check_text("a queue", name, LONGEST_NAME)
        if name in self._paused:
            return False
        self._paused[name] = self._clock.now()
        self._enter(AuditAction.PAUSE, by, name)
        return True

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        if self._paused.pop(name, None) is None:
            return False
        self._enter(AuditAction.RESUME, by, name)
        return True

    async def paused_queues(self) -> Sequence[PausedQueue]:
        return [PausedQueue(name, paused_at) for name, paused_at in sorted(self._paused.items())]

    async def prune(self, step: PruneStep) -> Pruned:
        now = self._clock.now()
        looked_at = self._scanned(step.after, step.limit)
        prunable = [
            job_id
            for job_id in (looked_at if step.ids is None else dict.fromkeys(step.ids))
            if (record := self._matching(job_id, step.among)) is not None
            and lifecycle.is_prunable(record, step.rules, now)
        ]
        if not step.dry_run:
            for job_id in prunable:
                self._remove(job_id)
        return Pruned(len(prunable), looked_at[-1] if len(looked_at) == step.limit else None)

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = PRUNE_STEP) -> Pruned:
        before = self._pruned_to
        pruned = await self.prune(PruneStep(rules=tuple(rules), after=before, limit=limit))
        self._pruned_to = before if pruned.count else pruned.after or ""
        return Pruned(pruned.count, before) if pruned.count else pruned

    async def queue_states(self, *, most: int | None = None) -> Sequence[QueueState]:
        now = self._clock.now()
        kept = (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.FAILED)
        groups: defaultdict[tuple[str, str], list[JobRecord]] = defaultdict(list)
        for record in self._records.values():
            if record.status in kept:
                groups[record.queue, record.job_name].append(record)
        return [_state(queue, name, records, now, most) for (queue, name), records in sorted(groups.items())]

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

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        minute = self._clock.now().replace(second=0, microsecond=0)
        for one in counts:
            for place in ((minute, one.queue, one.job_name), (None, one.queue, one.job_name)):
                before = self._counts.get(place, Counts())
                self._counts[place] = Counts(*map(add, before, one.counts))

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        found = [MinuteCounts(*place, counts) for place, counts in self._counts.items()]
        if since is None:
            return sorted(one for one in found if one.minute is None)
        return sorted(one for one in found if one.minute is not None and one.minute >= since)

    async def forget_counts(self) -> int:
        since = self._clock.now() - COUNT_RETENTION
        old = [place for place in self._counts if place[0] is not None and place[0] < since]
        for place in old:
            del self._counts[place]
        return len(old)

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        return list(self._attempts.get(job_id, ()))

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        now, place = self._clock.now(), _place(record)
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

    async def report_tick(self, report: WorkerReport) -> None:
        now = self._clock.now()
        last = self._workers.get(report.id, _StoredWorker(report, now, now, now))
        lease = max(TICK_LEASE, 2 * (now - last.last_seen_at))
        self._workers[report.id] = _StoredWorker(report, last.started_at, now, now + lease)

    async def remove_worker(self, worker_id: str) -> None:
        self._workers.pop(worker_id, None)

    async def forget_workers(self) -> int:
        since = self._clock.now() - WORKER_RETENTION
        forgotten = [worker_id for worker_id, worker in self._workers.items() if worker.expires_at < since]
        for worker_id in forgotten:
            del self._workers[worker_id]
        return len(forgotten)

    def _matching(self, job_id: str, among: JobFilter) -> JobRecord | None:
        record = self._records.get(job_id)
        return record if record is not None and matches(record, among, self._clock.now()) else None

    def _cancel(self, job_id: str, among: JobFilter, by: str, detail: str | None) -> Cancellation:
        record = self._matching(job_id, among)
        if record is None:
            return Cancellation.NOT_FOUND
        after = lifecycle.cancel(record, self._clock.now())
        self._put(after)
        if after is record:
            return Cancellation.FINISHED
        is_cancelled = after.status is JobStatus.CANCELLED
        remarks = (detail, None if is_cancelled else "asked to stop")
        self._enter(AuditAction.CANCEL, by, job_id, record.job_name, "; ".join(filter(None, remarks)) or None)
        return Cancellation.CANCELLED if is_cancelled else Cancellation.REQUESTED

    def _retry(self, job_id: str, among: JobFilter, by: str, detail: str | None) -> Retrial:
        record = self._matching(job_id, among)
        if record is None:
            return Retrial.NOT_FOUND
        if not lifecycle.is_retryable(record):
            return Retrial.NOT_RETRYABLE
        if record.unique_key is not None and record.unique_key in self._unfinished_keys:
            return Retrial.DUPLICATE
        self._put(lifecycle.retry(record, self._clock.now()))
        self._enter(AuditAction.RETRY, by, job_id, record.job_name, detail)
        return Retrial.RETRIED

    def _delete(self, job_id: str, among: JobFilter, by: str, detail: str | None) -> Deletion:
        record = self._matching(job_id, among)
        if record is None:
            return Deletion.NOT_FOUND
        if record.status is JobStatus.RUNNING:
            return Deletion.RUNNING
        if record.status is JobStatus.PENDING:
            self._dequeue([record])
            self._expiring.discard(job_id)
            if record.unique_key is not None:
                del self._unfinished_keys[record.unique_key]
        self._remove(job_id)
        self._enter(AuditAction.DELETE, by, job_id, record.job_name, detail)
        return Deletion.DELETED

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
            insort(self._queue, _place(record))
        if record.unique_key is not None:
            owns_key = not record.status.is_finished and record.replaced_by is None
            _note_owner(self._unfinished_keys, record, owns_key=owns_key)
            is_replaced = record.status is JobStatus.RUNNING and record.replaced_by is not None
            _note_owner(self._replaced, record, owns_key=is_replaced)

    def _dequeue(self, records: Sequence[JobRecord]) -> None:
        """Remove pending jobs, given in the order of the queue. Adjacent jobs take one step."""
        if not records:
            return
        start, stop = bisect_left(self._queue, _place(records[0])), bisect_left(self._queue, _place(records[-1])) + 1
        if stop - start == len(records):
            del self._queue[start:stop]
        else:
            gone = {record.id for record in records}
            self._queue[start:stop] = [place for place in self._queue[start:stop] if place[2] not in gone]

    def _listed(self, query: JobQuery) -> list[JobRecord]:
        now = self._clock.now()
        found = (
            record
            for record in self._records.values()
            if matches(record, query, now)
            and (query.before is None or record.id < query.before)
            and (query.ids is None or record.id in query.ids)
        )
        return sorted(found, key=lambda record: record.id, reverse=True)[: query.limit]

    def _find(self, job_id: str) -> JobRecord:
        record = self._records.get(job_id)
        if record is None:
            raise JobNotFoundError(job_id)
        return record

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
            record.scheduled_for or record.created_at,
            record.batch_id,
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
        return Expired(expired.id, expired.job_name, expired.status)


def _note_owner(owners: dict[str, str], record: JobRecord, *, owns_key: bool) -> None:
    """Note whether the job is the owner of its unique key."""
    key = record.unique_key or ""
    if owns_key:
        owners[key] = record.id
    elif owners.get(key) == record.id:
        del owners[key]


def _place(record: JobRecord) -> _Place:
    due = record.scheduled_for.timestamp() if record.scheduled_for is not None else float("-inf")
    return (-record.priority, due, record.id)


def _state(queue: str, job_name: str, records: Sequence[JobRecord], now: datetime, most: int | None) -> QueueState:
    pending = [record for record in records if record.status is JobStatus.PENDING]
    due = [record for record in pending if lifecycle.is_due(record, now)]
    timed = ((record.scheduled_for, record.id) for record in due if record.scheduled_for is not None)
    due_at, oldest_id = min(timed, default=(None, None))
    versions = Counter(record.spec_version for record in pending)
    return QueueState(
        queue=queue,
        job_name=job_name,
        due=at_most(len(due), most),
        oldest_due_at=due_at,
        oldest_due_id=oldest_id,
        scheduled=at_most(len(pending) - len(due), most),
        running=at_most(sum(record.status is JobStatus.RUNNING for record in records), most),
        failed=at_most(sum(record.status is JobStatus.FAILED for record in records), most),
        parked=at_most(sum(record.is_parked for record in records), most),
        versions=tuple((version, at_most(count, most)) for version, count in sorted(versions.items())),
    )


def _merged(stored: ScheduleRecord, declared: ScheduleRecord) -> ScheduleRecord:
    """Return the declared schedule with the history of the stored one. Plan it again if its rule changed."""
    same_rule = _rule(stored) == _rule(declared)
    return replace(
        declared,
        enabled=stored.enabled,
        last_run_at=stored.last_run_at,
        last_job_id=stored.last_job_id,
        next_run_at=stored.next_run_at if same_rule else None,
    )


def _rule(schedule: ScheduleRecord) -> tuple[str, str, str, int | None]:
    return (schedule.cron_expression, schedule.timezone, schedule.misfire, schedule.misfire_limit)


def _is_new_slot(schedule: ScheduleRecord, slot: datetime) -> bool:
    return schedule.last_run_at is None or schedule.last_run_at < slot
