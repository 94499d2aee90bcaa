"""What the engine asks of a store. Adapters are chosen at a composition root; every one passes the same suite.

Each method is one transaction. After a claim, every write carries the claim's token and changes nothing when that
claim is not the newest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .audit import APPLICATION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from .audit import AuditQuery, AuditRecord
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
        Hold,
        Inserted,
        JobCount,
        JobQuery,
        JobRecord,
        JobStatus,
        JobSummary,
        NewJob,
        PausedQueue,
        Pruned,
        PruneRule,
        PruneStep,
        Repair,
        ScheduleRecord,
        Settlement,
        Survey,
    )
    from .search import Found, SearchStep


class JobStore(Protocol):
    """The life of jobs: every move of the state machine in `lifecycle`, in batches."""

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store pending jobs, all or none; answers in the order given.

        A job whose id is stored already is not stored again (so a lost reply is safe to retry), nor is one whose
        unique key an unfinished job holds: that job's id is the answer then.
        """
        ...

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        """Store a job as running, claimed by the caller. Raises `DuplicateJobError` for a unique key that is held."""
        ...

    async def claim(self, request: ClaimRequest) -> Sequence[Claim]:
        """Claim due pending jobs, highest priority first, then oldest; never more than `request.limit`.

        Counts the attempt and starts the lease. Only names and versions the request knows are touched, and no job of a
        paused queue. Jobs with limits and jobs without compete in that one order; one that its limit holds back steps
        aside for those behind it. A limit is never exceeded, whoever claims at the same time; with a huge backlog of
        jobs with limits, their order is that of the part of it that was looked at.
        """
        ...

    async def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | None:
        """Claim this pending job whatever its due time, if the request knows its name and version; None if not.

        Somebody wants this one now: neither a limit nor a paused queue holds it back. It counts as a run, as do those
        of `start`, but not as a start under a rate.
        """
        ...

    async def renew(self, heartbeats: Sequence[Heartbeat], lease: timedelta) -> Sequence[Hold]:
        """Extend leases and store progress; return the answers in the order given.

        A row that somebody else has locked does not delay the others: its answer is `Hold.BUSY`.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        """Write outcomes; answers in the order given: the status the job now has, None where the claim was lost."""
        ...

    async def expire(self, *, jitter: timedelta, except_for: Sequence[str] = ()) -> Sequence[Expired]:
        """Take running jobs whose lease has run out away from their worker: back to pending, failed or cancelled.

        Jobs that go back become due at a random moment within `jitter`. Claims with the tokens of `except_for` are left
        alone: a caller that was paused knows of those that it still runs.
        """
        ...

    async def survey(self, request: ClaimRequest) -> Survey:
        """What there is to do for somebody who can run what the request knows, by one read; limits are left aside."""
        ...

    async def cancel(self, job_id: str, *, by: str = APPLICATION) -> Cancellation:
        """Cancel a pending or parked job at once, ask a running one to stop. Raises `JobNotFoundError`.

        As with every move by hand, `by` says who does it, and the audit log gets an entry if something changed.
        """
        ...

    async def retry(self, job_id: str, *, by: str = APPLICATION) -> None:
        """Put a failed or cancelled job back to pending with all its attempts.

        Raises `JobNotFoundError`, `JobNotRetryableError`, or `DuplicateJobError` when its unique key is held.
        """
        ...

    async def repair(self, repair: Repair, *, by: str = APPLICATION) -> None:
        """Give a parked or pending job other params, and put it back to pending with all its attempts.

        Changes nothing and raises `JobNotRepairableError` when it is not as it was read any more, `JobNotFoundError`,
        or `DuplicateJobError` when its unique key is held by another one.
        """
        ...

    async def delete(
        self, job_ids: Sequence[str], *, by: str = APPLICATION, detail: str | None = None
    ) -> Sequence[Deletion]:
        """Delete pending and finished jobs; answers in the order given. A running job stays."""
        ...

    async def search(self, step: SearchStep) -> Found:
        """Find, among the jobs this step looks at, those for which every condition holds."""
        ...


class JobReader(Protocol):
    """Looking at jobs without changing them."""

    async def get(self, job_id: str) -> JobRecord | None:
        """The job with that id, None if there is none."""
        ...

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        """Jobs by filters, newest id first."""
        ...

    async def summary(self, job_id: str) -> JobSummary | None:
        """As `get`, for a look that costs the same however large params, result and error are: they are not read."""
        ...

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        """As `list_jobs`, likewise."""
        ...

    async def count_jobs(self, *, since: datetime | None = None) -> Sequence[JobCount]:
        """Counts per job name and status, of all jobs or of those created at or after `since`."""
        ...

    async def count_due(self, request: ClaimRequest) -> int:
        """How many pending jobs the request could claim now, limits aside; those of paused queues are not counted."""
        ...

    async def next_due(self, request: ClaimRequest) -> timedelta | None:
        """How long until a job the request knows is due (zero if one is), None if none is pending; as `count_due`."""
        ...


class ScheduleStore(Protocol):
    """Recurring jobs: at most one job for each slot of a schedule, for ever."""

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        """Store schedules by id; a changed expression, zone or policy is planned anew, `enabled` is kept."""
        ...

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        """Make these schedules the stored ones of their jobs, unless others are current; return those now disabled.

        A set of schedules that was never declared for its job becomes current. One that was declared before becomes
        current again once nobody has declared the current one for `grace`. A set that becomes current is stored as by
        `save_schedules`; stored schedules that an earlier set declared, and this one does not, are disabled. They are
        enabled again when a later set declares them, unless somebody has used `enable_schedule` on them.
        """
        ...

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        """Every schedule, by job name and name."""
        ...

    async def enable_schedule(self, schedule_id: str, *, enabled: bool) -> bool:
        """Switch a schedule on or off; planned anew if that is a change. False if there is none with that id."""
        ...

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        """The enabled schedules of these jobs that are due or not planned yet."""
        ...

    async def fire(self, firing: Firing) -> Sequence[bool]:
        """Store the jobs of slots that have not fired before, and plan the next slot; says which slots made a job.

        The plan is left alone when the schedule's rule has changed since the firing was computed.
        """
        ...


class QueueStore(Protocol):
    """Queues that are held, and what becomes of finished jobs."""

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        """Let nothing be claimed from this queue, from the next claim on; False if it was paused already.

        Jobs are enqueued all the same, and those that run go on. Raises `InvalidOptionError` for a name that no queue
        can have: with NUL characters or lone surrogates, or of more than 100 characters.
        """
        ...

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        """Let jobs of this queue be claimed again; False if it was not paused."""
        ...

    async def paused_queues(self) -> Sequence[PausedQueue]:
        """The queues that are paused, by name."""
        ...

    async def prune(self, step: PruneStep) -> Pruned:
        """Delete, of the jobs this step looks at, the finished ones to which one of its rules applies.

        Never one that is parked: nobody has run it yet.
        """
        ...

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = 1000) -> Pruned:
        """As `prune`, of the `limit` jobs that follow those which the last such call of anybody has done with.

        For processes that come and go: how far they have come is stored, and after the last job the first ones follow,
        so that every job is looked at in the end. Where it says to go on is for the caller no more than a hint that
        there is more: after a call that deleted something the next one looks at the same place again.
        """
        ...


class AuditStore(Protocol):
    """Who changed jobs and queues by hand. Entries older than `AUDIT_RETENTION` are neither read nor kept."""

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Read entries, newest first."""
        ...

    async def forget_audit(self) -> int:
        """Delete the entries that are too old, and return how many there were."""
        ...


@runtime_checkable
class Store(JobStore, JobReader, ScheduleStore, QueueStore, AuditStore, Protocol):
    """Everything a backend needs of a store."""

    @property
    def name(self) -> str:
        """What it is, for messages: "memory", "sqlite"."""
        ...

    async def open(self) -> None:
        """Make the store ready. Raises `DatabaseError` or `SchemaMissingError`. Harmless when it is open."""
        ...

    async def close(self) -> None:
        """Give back every resource. Harmless when it is closed."""
        ...

    async def ping(self) -> None:
        """Raise `DatabaseError` unless the store answers."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake`, in this event loop, soon after another process may have stored jobs; returns what ends that.

        A hint only: it may be early, late, missing or for nothing, so whoever waits polls as well.
        """
        ...


POSTGRES_CHANNEL = "server_jobs"
"""The channel on which PostgreSQL tells workers of stored jobs."""

Value = str | int | float | datetime | None
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with named parameters (`:name`), and whether it writes.

    `may_be_forgotten`: whether a power cut may undo it although it was committed, until something is committed that
    must not be. For what ends with the machine anyway, and only where nothing else can remember it: in a file.

    `may_wait`: whether it may wait for transactions of others to end, who have taken its unique key or the limits.
    """

    sql: str
    writes: bool
    may_be_forgotten: bool = False
    may_wait: bool = False


@runtime_checkable
class Database(Protocol):
    """Executes SQL, knows no jobs."""

    @property
    def name(self) -> str:
        """What it is, for messages: "sqlite", "d1"."""
        ...

    @property
    def now(self) -> str:
        """The SQL expression of this moment, in the form in which times are stored."""
        ...

    @property
    def packs_rows(self) -> bool:
        """Whether many rows come cheaper packed into one, as where fetching each of them waits for other threads."""
        ...

    @property
    def opens_once(self) -> bool:
        """Whether it is opened for many calls, so that a look at its tables then costs nothing that counts."""
        ...

    @property
    def watches_for_jobs(self) -> bool:
        """Whether `watch` wakes when jobs were stored, as a rule, and not for whatever others wrote."""
        ...

    async def open(self) -> None:
        """Connect. Raises `DatabaseError`. Harmless when open."""
        ...

    async def close(self) -> None:
        """Disconnect. Harmless when closed."""
        ...

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        """Execute these statements as one transaction; the rows of each. Raises `DatabaseError`, changing nothing.

        When there is a `look` that reads, and it finds no rows, nothing is executed and there are no rows.
        """
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """As in `Store`."""
        ...

    def announce(self) -> None:
        """Let those who watch in other processes know of stored jobs, where the database does not do it by itself.

        Returns at once; costs at most one message for all the calls of a few milliseconds, and never raises.
        """
        ...


@runtime_checkable
class CountedDatabase(Database, Protocol):
    """One of whose statements only so many may be executed in a while."""

    @property
    def queries(self) -> int:
        """How many were so far, by this object."""
        ...

    def queries_of(self, calls: int) -> int:
        """How many a `run` of so many calls is counted as."""
        ...
