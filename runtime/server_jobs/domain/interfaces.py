"""The interfaces of stores and databases. Every store passes the same conformance suite.

Each method of a store is one transaction. After a claim, every write carries the token of the claim. The write changes
nothing if the claim is stale, that is, if the row has another token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .audit import APPLICATION
from .record import EVERY_JOB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from .history import AttemptRecord, Blockers, WorkerRecord
    from .record import (
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
        PausedQueue,
        PendingWork,
        Pruned,
        PruneRule,
        PruneStep,
        Repair,
        Retrial,
        ScheduleChange,
        ScheduleRecord,
        Settlement,
        UpcomingWork,
    )
    from .record.audit import AuditQuery, AuditRecord
    from .record.reports import JobCounts, WorkerReport
    from .search import FindStep, Found, JobPage
    from .statistics import BatchCounts, EnqueuedCount, FailureGroup, MinuteCounts, QueueState


class JobStore(Protocol):
    """The moves of the state machine in `lifecycle`, in batches."""

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store pending jobs, all or none. Return one answer per job, in the given order.

        Skip a job whose id is stored already, so that a retry after a lost reply is safe. Skip a job if an unfinished
        job has its unique key; the answer then has the id of that job. A late job is cancelled and loses its key. If
        the job with the key ends during the call, store the new job after all, but without its batch, which may have
        ended.
        `NewJob.on_conflict` chooses another behaviour; see `OnConflict`.
        """
        ...

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        """Store a job as running, claimed by the caller. Raises `DuplicateJobError` if its unique key is in use."""
        ...

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim up to `request.limit` due pending jobs, by priority, then by age. Late jobs are never claimed.

        Count the attempt and start the lease. Claim only names and versions of the request, and nothing from a paused
        queue. Jobs with and without limits share one order. Jobs blocked by a limit do not block the jobs behind them.
        Concurrent claims never exceed a limit. With a huge backlog of limited jobs, the order holds within the part
        that the claim scanned.
        """
        ...

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        """Claim this pending job, due or not. Return None if it is not pending, late, or unknown to the request.

        Limits and paused queues do not apply. Like a run of `start`, it counts toward `concurrency` but not toward
        `rate`.
        """
        ...

    async def renew(
        self, heartbeats: Sequence[Heartbeat], lease: timedelta, workers: Sequence[WorkerReport] = ()
    ) -> Sequence[LeaseAnswer]:
        """Renew leases and store progress. Return one answer per heartbeat, in the given order.

        Store the reports of workers in the same transaction. A worker counts as dead `lease` after its last report.

        A row locked by another transaction does not delay the others. Its answer is `LeaseAnswer.BUSY`.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        """Store outcomes. Return the new status of each job in the given order, or None for a stale claim."""
        ...

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        """Expire leases: each job becomes pending again, failed or cancelled.

        Pending jobs become due at a random time within `jitter`. Skip claims with a token in `except_for`: a caller
        that was paused passes the claims that it still runs.
        """
        ...

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Make the completion jobs of ended batches due, of these batches or of all. Return the ids of the batches.

        A batch has ended once all of its stored jobs have finished. Each completion job becomes due once, also if jobs
        of its batch are retried later. Wakes workers.
        """
        ...

    async def cancel_late(self) -> Sequence[LateJob]:
        """Cancel up to `MOST_LATE` pending jobs that may not start any more, of any name."""
        ...

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        """Return the pending work for the names and versions of the request, with one read. Ignores limits.

        The report of `tick` is due if it knows other jobs than its last one, or if that is `TICK_REPORT_INTERVAL` ago.
        """
        ...

    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        """Cancel a pending or parked job. Ask a running job to stop. Raises `JobNotFoundError`.

        `by` names the actor of this manual change. If something changed, the audit log gets an entry.
        """
        ...

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        """Make a failed or cancelled job pending again, with all its attempts and without a latest time to start.

        Raises `JobNotFoundError`, `JobNotRetryableError`, or `DuplicateJobError` if its unique key is in use.
        """
        ...

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        """Replace the params of a parked or pending job, and make it pending with all its attempts.

        Raises `JobNotRepairableError` if the job changed since it was read, `JobNotFoundError`, or `DuplicateJobError`
        if its unique key is in use. Nothing is changed then.
        """
        ...

    async def cancel_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Cancellation]:
        """Like `cancel`, for many jobs. Return one answer per job, in the given order.

        Change only jobs that match the filter `among` at the time of the change, without its `where`. `detail` is for
        the entries in the audit log. All of this also holds for `retry_many` and `delete`.
        """
        ...

    async def retry_many(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Retrial]:
        """Like `retry`, for many jobs. Wake workers if a job is pending again.

        Of several jobs with one unique key, retry the first by id.
        """
        ...

    async def delete(
        self, job_ids: Sequence[str], *, among: JobFilter = EVERY_JOB, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        """Delete pending and finished jobs. Running jobs stay."""
        ...

    async def find(self, step: FindStep) -> Found:
        """Return the jobs of this step that match its filter."""
        ...

    async def find_page(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest id first, at a cost that does not depend on the number of stored jobs.

        Ignores the `ids` of the query. If the filter has one status other than completed, an index finds up to
        `MOST_CANDIDATES` jobs with this status. Otherwise, look at up to `MOST_SCANNED` jobs, the newest first.
        """
        ...


class JobReader(Protocol):
    """Reading jobs."""

    async def get(self, job_id: str) -> JobRecord | None:
        """Return the job with this id, or None."""
        ...

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        """Return a page of jobs, newest id first."""
        ...

    async def summary(self, job_id: str) -> JobSummary | None:
        """Like `get`, without params, result and error. The cost does not depend on their size."""
        ...

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        """Like `list_jobs`, without params, result and error."""
        ...

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        """Count the jobs of a batch by status, without its completion job. Return None if nothing of it is stored."""
        ...

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        """Return the ids of the jobs of a batch with this name, in the order in which they were enqueued."""
        ...

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        """Count jobs per name and status: all jobs, or jobs created at or after `since`.

        With `newest`, look only at this many jobs, the newest by id.
        Otherwise the cost depends on the number of stored jobs.
        """
        ...

    async def count_due(self, request: ClaimRequest) -> int:
        """Count the due pending jobs of the request. Ignores limits, and excludes paused queues."""
        ...

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        """Return when the next jobs of the request are due, the next lease ends, and the next schedule has a slot.

        Ignores limits, and pending jobs in paused queues.
        """
        ...


class ScheduleStore(Protocol):
    """Schedules. A slot makes at most one job, forever."""

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        """Store schedules by id. Plan a schedule again if its expression, zone or policy changed. Keep `enabled`."""
        ...

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        """Declare the set of schedules of each job, and return the schedules that became disabled.

        A new set becomes current at once. An earlier set becomes current again when nobody has declared the current one
        for `grace`. A set that becomes current is stored as by `save_schedules`. Schedules that only an earlier set
        declared are disabled. A later set that declares them enables them again, unless somebody used
        `enable_schedule` on them.
        """
        ...

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        """Return all schedules, ordered by job name and name."""
        ...

    async def find_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """Return the schedule with this id, or None."""
        ...

    async def enable_schedule(self, schedule_id: str, *, enabled: bool, by: str = APPLICATION) -> bool:
        """Enable or disable a schedule. Plan it again if that is a change. Return False for an unknown id."""
        ...

    async def add_schedule(self, schedule: ScheduleRecord, *, by: str = APPLICATION) -> bool:
        """Store a schedule as added, enabled and not planned. Return False if its id is stored.

        No set of declared schedules disables it. A set that declares its id makes it a declared schedule.
        """
        ...

    async def change_schedule(self, schedule_id: str, change: ScheduleChange, *, by: str = APPLICATION) -> bool:
        """Change an added schedule. Plan it again if its expression, zone or policy changed.

        Return False if no added schedule has this id. Two changes of different values at once both take effect.
        """
        ...

    async def remove_schedule(self, schedule_id: str, *, by: str = APPLICATION) -> bool:
        """Delete an added schedule. Its jobs stay. Return False if no added schedule has this id."""
        ...

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        """Return the enabled schedules of these jobs that are due or not planned yet."""
        ...

    async def fire(self, firing: Firing) -> Sequence[bool]:
        """Store the jobs of new slots and plan the next slot. Return for each slot whether it made a job.

        Keep the plan if the rule of the schedule changed since the firing was computed.
        """
        ...


class QueueStore(Protocol):
    """Pausing queues, and deleting finished jobs."""

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        """Stop claims from this queue. Return False if it was paused already.

        Jobs can still be enqueued, and running jobs continue. Raises `InvalidOptionError` for an invalid name: with NUL
        characters or lone surrogates, or longer than 100 characters.
        """
        ...

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        """Allow claims from this queue again. Return False if it was not paused."""
        ...

    async def paused_queues(self) -> Sequence[PausedQueue]:
        """Return the paused queues, ordered by name."""
        ...

    async def prune(self, step: PruneStep) -> Pruned:
        """Delete the finished jobs of this step that match one of its rules.

        Parked jobs stay, because they have not run. The scan ends after the last job, or at a step of jobs that were
        all created within the shortest age of the rules: ids are UUIDv7, so the jobs that follow are newer still. The
        scan goes on if the ids are older than that, as those of missed slots are.
        """
        ...

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = 1000) -> Pruned:
        """Like `prune`, for the `limit` jobs at a cursor that the database stores.

        For processes that run one tick and exit. The cursor starts over where the scan of `prune` ends. After a call
        that deleted jobs, the next call scans the same place again. The returned position only tells whether more jobs
        follow.
        """
        ...


class AuditStore(Protocol):
    """The audit log. Entries older than `AUDIT_RETENTION` are hidden and deleted."""

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Read entries, newest first."""
        ...

    async def forget_audit(self) -> int:
        """Delete expired entries and return their number."""
        ...


class HistoryStore(Protocol):
    """Attempts that did not complete, and workers."""

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        """Return the last attempts of a job that did not complete, oldest first: at most `ATTEMPTS_KEPT`."""
        ...

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        """Return what stands before a pending job.

        `job` has its limits; None: it has none. Jobs of the names and versions in `known` may be ahead of it.
        """
        ...

    async def workers(self) -> Sequence[WorkerRecord]:
        """Return the living and the dead workers and ticks, ordered by id."""
        ...

    async def held_jobs(self, worker_id: str) -> Sequence[str]:
        """Return the ids of jobs that run under a claim of this worker, or whose lease expired under one.

        At most 100, ordered by id.
        """
        ...

    async def report_tick(self, report: WorkerReport) -> None:
        """Store the report of a tick, in place of its last one.

        It counts as dead after twice the time since the last one, and at the earliest after `TICK_LEASE`.
        """
        ...

    async def remove_worker(self, worker_id: str) -> None:
        """Forget a worker that stops. Does nothing for an unknown id."""
        ...

    async def forget_workers(self) -> int:
        """Delete workers that died more than `WORKER_RETENTION` ago, and return their number."""
        ...


class StatisticsStore(Protocol):
    """Numbers about queues and jobs."""

    async def queue_states(self, *, most: int | None = None, most_failed: int | None = None) -> Sequence[QueueState]:
        """Return one state per queue and job name with pending, running or failed jobs, ordered by both.

        With `most`, count this many jobs of each kind and stop: the count `most` means that there may be more.
        `most_failed` is the same for failed and parked jobs, and is `most` by default.
        """
        ...

    async def enqueued_counts(self) -> Sequence[EnqueuedCount]:
        """Count the stored jobs that were enqueued within `ENQUEUE_WINDOW`, ordered by queue and name.

        A job may be left out if its id is more than a minute older than its enqueue: the job of a missed schedule slot,
        or of a machine whose clock is late. The cost depends on the number of recent jobs only.
        """
        ...

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        """Add outcomes to the counts of the current minute and to the totals."""
        ...

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        """Return the counts of the minutes from `since` on, oldest first; None: the totals.

        Minutes older than `COUNT_RETENTION` may be gone.
        """
        ...

    async def failure_groups(
        self, *, queues: Sequence[str] | None = None, most: int | None = None
    ) -> Sequence[FailureGroup]:
        """Return the failed jobs by name and class of error, ordered by both.

        `queues`: only jobs of these queues. `most` is the same as for `queue_states`.
        """
        ...

    async def forget_counts(self) -> int:
        """Delete the counts of minutes older than `COUNT_RETENTION`, and return the number of rows."""
        ...


@runtime_checkable
class Store(JobStore, JobReader, ScheduleStore, QueueStore, AuditStore, HistoryStore, StatisticsStore, Protocol):
    """The complete interface of a store."""

    @property
    def name(self) -> str:
        """The kind of store, for messages: "memory", "sqlite"."""
        ...

    async def open(self) -> None:
        """Open the store. Does nothing if it is open. Raises `DatabaseError` or `SchemaMissingError`."""
        ...

    async def close(self) -> None:
        """Release every resource. Does nothing if the store is closed."""
        ...

    async def ping(self) -> None:
        """Raise `DatabaseError` unless the store answers."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in this event loop soon after another process stored jobs. Return a function that ends this.

        Calls are hints. They may be late, missing or superfluous, so callers must poll as well.
        """
        ...


POSTGRES_CHANNEL = "server_jobs"
"""The NOTIFY channel for stored jobs on PostgreSQL."""

Value = str | int | float | datetime | list[str | None] | None
"""A parameter, or a value of a row. Only parameters of PostgreSQL are lists."""
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with named parameters (`:name`), and whether it writes.

    `may_be_forgotten`: a power cut may undo the committed statement, until a later commit is flushed. For claims, which
    end with the machine anyway.

    `may_wait`: the statement may wait for other transactions that use its unique key or its limits.

    `may_repeat`: the same call may be made again if its answer was lost.

    `parameters`: the names of the parameters, if they are known.
    """

    sql: str
    writes: bool
    may_be_forgotten: bool = False
    may_wait: bool = False
    may_repeat: bool = False
    parameters: frozenset[str] = frozenset()


class Wake(Protocol):
    """The function that `Database.watch` calls after a write of another process."""

    def __call__(self, *, is_for_jobs: bool) -> None:
        """Wake. `is_for_jobs` is true if the write probably stored jobs, and false if it may be any write."""
        ...


@runtime_checkable
class Database(Protocol):
    """A database that executes SQL. It knows no jobs."""

    @property
    def name(self) -> str:
        """The kind of database, for messages: "sqlite", "postgresql"."""
        ...

    @property
    def now(self) -> str:
        """The SQL expression of the current time, in the stored form."""
        ...

    async def open(self) -> None:
        """Connect. Does nothing if connected. Raises `DatabaseError`."""
        ...

    async def close(self) -> None:
        """Disconnect. Does nothing if closed."""
        ...

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        """Execute these statements in one transaction and return the rows of each.

        If `look` is given and returns no rows, execute nothing. Raises `DatabaseError`; nothing is changed then. If the
        dialect has `INSERT_NEW`, raises `DuplicateIdError` if a statement would store an id twice.
        """
        ...

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Like `Store.watch`."""
        ...

    def announce(self) -> None:
        """Tell watchers in other processes about stored jobs, unless the database does it itself.

        Returns at once and never raises. All calls within a few milliseconds share one message.
        """
        ...


@runtime_checkable
class CountedDatabase(Database, Protocol):
    """A database that counts its queries, and calls `databases.query_check.check_queries` before it makes them."""

    @property
    def queries(self) -> int:
        """Queries that this object made."""
        ...
