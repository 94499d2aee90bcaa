"""The store as one machine sees it: over a wire that delays calls, fails, and loses replies after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from server_jobs import DatabaseError
from server_jobs.concurrency.tasks import shielded
from server_jobs.domain.audit import APPLICATION
from server_jobs.domain.history import AttemptRecord, Blockers, WorkerRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    EVERY_JOB,
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
    PendingWork,
    Retrial,
    ScheduleChange,
    ScheduleRecord,
    Settlement,
    UpcomingWork,
)
from server_jobs.domain.record.audit import AuditQuery, AuditRecord
from server_jobs.domain.record.reports import JobCounts, WorkerReport
from server_jobs.domain.search import FindStep, Found, JobPage
from server_jobs.domain.statistics import BatchCounts, EnqueuedCount, FailureGroup, MinuteCounts, QueueState

from .database import SharedStore
from .machine import Machine
from .weather import Fate, Journey, Weather

if TYPE_CHECKING:
    from server_jobs.domain.record import PausedQueue, Pruned, PruneRule, PruneStep, Repair

T = TypeVar("T")


class StoreView:
    """A `Store`. A call that was sent arrives even if its machine dies in the meantime, as with a real server."""

    def __init__(self, shared: SharedStore, machine: Machine, weather: Weather) -> None:
        self.name = shared.store.name
        self.is_cut_off = False
        self.has_answered = False
        self._shared = shared
        self._machine = machine
        self._weather = weather

    async def open(self) -> None:
        await self._ask("open", None, lambda store: store.open())

    async def close(self) -> None:
        """Do nothing, because others use it."""

    async def ping(self) -> None:
        await self._ask("ping", None, lambda store: store.ping())

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        machine = self._machine

        def hear() -> None:
            journey = self._weather.journey(machine.name, "watch")
            if journey.fate is Fate.ANSWERED and not machine.is_lost:
                loop.call_later(journey.there, machine.deliver, wake)

        return self._shared.watch(hear)

    async def insert(self, jobs: Iterable[NewJob]) -> Sequence[Inserted]:
        made = list(jobs)
        return await self._ask("insert", made, lambda store: store.insert(made))

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        return await self._ask("start", job, lambda store: store.start(job, lease))

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        return await self._ask("claim", request, lambda store: store.claim(request))

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        return await self._ask("claim_one", request, lambda store: store.claim_one(job_id, request))

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        return await self._ask("renew", heartbeats, lambda store: store.renew(heartbeats, lease, workers))

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        return await self._ask("settle", settlements, lambda store: store.settle(settlements))

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        return await self._ask(
            "expire", tuple(except_for), lambda store: store.expire(jitter=jitter, except_for=except_for)
        )

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        return await self._ask("end_batches", batch_ids, lambda store: store.end_batches(batch_ids))

    async def cancel_late(self) -> Sequence[LateJob]:
        return await self._ask("cancel_late", None, lambda store: store.cancel_late())

    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        return await self._ask("cancel", job_id, lambda store: store.cancel(job_id, by=by))

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        await self._ask("retry", job_id, lambda store: store.retry(job_id, by=by))

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        await self._ask("repair", repair, lambda store: store.repair(repair, by=by))

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        return await self._ask(
            "cancel_many", job_ids, lambda store: store.cancel_many(job_ids, among=among, by=by, detail=detail)
        )

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        return await self._ask(
            "retry_many", job_ids, lambda store: store.retry_many(job_ids, among=among, by=by, detail=detail)
        )

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        return await self._ask(
            "delete", job_ids, lambda store: store.delete(job_ids, among=among, by=by, detail=detail)
        )

    async def find(self, step: FindStep) -> Found:
        return await self._ask("find", step, lambda store: store.find(step))

    async def find_page(self, query: JobQuery) -> JobPage:
        return await self._ask("find_page", query, lambda store: store.find_page(query))

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        return await self._ask("audit_log", query, lambda store: store.audit_log(query))

    async def forget_audit(self) -> int:
        return await self._ask("forget_audit", None, lambda store: store.forget_audit())

    async def get(self, job_id: str) -> JobRecord | None:
        return await self._ask("get", job_id, lambda store: store.get(job_id))

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return await self._ask("list_jobs", query, lambda store: store.list_jobs(query))

    async def summary(self, job_id: str) -> JobSummary | None:
        return await self._ask("summary", job_id, lambda store: store.summary(job_id))

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        return await self._ask("list_summaries", query, lambda store: store.list_summaries(query))

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        return await self._ask("count_batch", batch_id, lambda store: store.count_batch(batch_id))

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        return await self._ask("batch_jobs", batch_id, lambda store: store.batch_jobs(batch_id, job_name))

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        return await self._ask("count_jobs", since, lambda store: store.count_jobs(since=since, newest=newest))

    async def count_due(self, request: ClaimRequest) -> int:
        return await self._ask("count_due", request, lambda store: store.count_due(request))

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        return await self._ask("pending_work", request, lambda store: store.pending_work(request, tick))

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        return await self._ask("upcoming_work", request, lambda store: store.upcoming_work(request))

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        await self._ask("save_schedules", schedules, lambda store: store.save_schedules(schedules))

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        return await self._ask(
            "declare_schedules", declarations, lambda store: store.declare_schedules(declarations, grace=grace)
        )

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return await self._ask("list_schedules", None, lambda store: store.list_schedules())

    async def find_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        return await self._ask("find_schedule", schedule_id, lambda store: store.find_schedule(schedule_id))

    async def enable_schedule(self, schedule_id: str, *, enabled: bool, by: str = APPLICATION) -> bool:
        return await self._ask(
            "enable_schedule", schedule_id, lambda store: store.enable_schedule(schedule_id, enabled=enabled, by=by)
        )

    async def add_schedule(self, schedule: ScheduleRecord, *, by: str = APPLICATION) -> bool:
        return await self._ask("add_schedule", schedule, lambda store: store.add_schedule(schedule, by=by))

    async def change_schedule(self, schedule_id: str, change: ScheduleChange, *, by: str = APPLICATION) -> bool:
        return await self._ask(
            "change_schedule", schedule_id, lambda store: store.change_schedule(schedule_id, change, by=by)
        )

    async def remove_schedule(self, schedule_id: str, *, by: str = APPLICATION) -> bool:
        return await self._ask("remove_schedule", schedule_id, lambda store: store.remove_schedule(schedule_id, by=by))

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        return await self._ask("due_schedules", job_names, lambda store: store.due_schedules(job_names))

    async def fire(self, firing: Firing) -> Sequence[bool]:
        return await self._ask("fire", firing, lambda store: store.fire(firing))

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        return await self._ask("pause_queue", name, lambda store: store.pause_queue(name, by=by))

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        return await self._ask("resume_queue", name, lambda store: store.resume_queue(name, by=by))

    async def paused_queues(self) -> Sequence[PausedQueue]:
        return await self._ask("paused_queues", None, lambda store: store.paused_queues())

    async def prune(self, step: PruneStep) -> Pruned:
        return await self._ask("prune", step, lambda store: store.prune(step))

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = PRUNE_STEP) -> Pruned:
        return await self._ask("prune_next", rules, lambda store: store.prune_next(rules, limit=limit))

    async def queue_states(self, *, most: int | None = None, most_failed: int | None = None) -> Sequence[QueueState]:
        return await self._ask(
            "queue_states", most, lambda store: store.queue_states(most=most, most_failed=most_failed)
        )

    async def failure_groups(
        self, *, queues: Sequence[str] | None = None, most: int | None = None
    ) -> Sequence[FailureGroup]:
        return await self._ask("failure_groups", queues, lambda store: store.failure_groups(queues=queues, most=most))

    async def enqueued_counts(self) -> Sequence[EnqueuedCount]:
        return await self._ask("enqueued_counts", None, lambda store: store.enqueued_counts())

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        await self._ask("add_counts", None, lambda store: store.add_counts(counts))

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        return await self._ask("finished_counts", None, lambda store: store.finished_counts(since=since))

    async def forget_counts(self) -> int:
        return await self._ask("forget_counts", None, lambda store: store.forget_counts())

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        return await self._ask("attempts", job_id, lambda store: store.attempts(job_id))

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        return await self._ask("blockers", record.id, lambda store: store.blockers(record, job, known))

    async def workers(self) -> Sequence[WorkerRecord]:
        return await self._ask("workers", None, lambda store: store.workers())

    async def held_jobs(self, worker_id: str) -> Sequence[str]:
        return await self._ask("held_jobs", worker_id, lambda store: store.held_jobs(worker_id))

    async def report_tick(self, report: WorkerReport) -> None:
        await self._ask("report_tick", report.id, lambda store: store.report_tick(report))

    async def remove_worker(self, worker_id: str) -> None:
        await self._ask("remove_worker", worker_id, lambda store: store.remove_worker(worker_id))

    async def forget_workers(self) -> int:
        return await self._ask("forget_workers", None, lambda store: store.forget_workers())

    async def _ask(self, method: str, subject: object, call: Callable[[Store], Coroutine[object, object, T]]) -> T:
        journey = self._weather.journey(self._machine.name, method)
        # The wire belongs to no machine: it does not freeze or die with the sender.
        wire = asyncio.get_running_loop().create_task(self._carry(journey, method, subject, call), context=Context())
        wire.add_done_callback(_retrieve)
        answer = await shielded(wire)
        self.has_answered = True
        return answer

    async def _carry(
        self, journey: Journey, method: str, subject: object, call: Callable[[Store], Coroutine[object, object, T]]
    ) -> T:
        if journey.there:
            await asyncio.sleep(journey.there)
        if journey.fate is Fate.REFUSED or self.is_cut_off:
            self._shared.note_failure(self._machine, method, "refused")
            raise DatabaseError(f"the database is away ({method})")
        answer = self._shared.apply(self._machine, method, subject, call)
        if journey.back:
            await asyncio.sleep(journey.back)
        if journey.fate is Fate.REPLY_LOST or self.is_cut_off:
            self._shared.note_failure(self._machine, method, "its reply was lost")
            raise DatabaseError(f"the connection was lost, and with it the reply to {method}")
        return answer


def _retrieve(task: asyncio.Task[object]) -> None:
    """Read the error, because the caller may be gone."""
    if not task.cancelled():
        task.exception()
