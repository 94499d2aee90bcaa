"""The values that travel between the engine and a store: jobs to be stored, stored jobs, claims and settlements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidOptionError
from .text_limits import check_text

if TYPE_CHECKING:
    from .options import ConcurrencyLimit, RateLimit

LONGEST_PAGE = 1000
UNREADABLE = "UNREADABLE: "
"""What the error of a failed job begins with when nobody could read its params, and its handler was never called.

Only the engine writes it: the error of a handler that begins so is stored behind a word of its own. Such a job is
parked: it is never pruned, and waits to be repaired or retried.
"""
LONGEST_PRUNE_STEP = 10_000
PRUNE_STEP = 1000


class JobStatus(StrEnum):
    """Where a job is in its life. A job that waits for its next attempt is `pending` with `attempt_count > 0`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether only an explicit `retry` can change the job any more."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


class Outcome(StrEnum):
    """How an attempt ended, for the process that ran it.

    `FAILED` attempts count; the job is retried while it has attempts left. `SNOOZED` and `RELEASED` attempts do not
    count, and the job is pending again. `LOST` means that the claim was no longer the newest: nothing was stored.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SNOOZED = "snoozed"
    RELEASED = "released"
    LOST = "lost"

    @property
    def is_failure(self) -> bool:
        """Whether the attempt counts as failed in logs and statistics."""
        return self in (Outcome.FAILED, Outcome.LOST)


class NewJob(NamedTuple):
    """A job to be stored. `params` is JSON text that has been checked.

    It is due at `scheduled_for`, or `delay` after the store's own clock when that is None. The keys are those of
    `job_keys.job_keys`: both None for a job without limits.
    """

    # A tuple, as the jobs of one call are made by the thousand and differ in the first fields only.

    id: str
    params: str
    unique_key: str | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None
    job_name: str = ""
    queue: str = "default"
    priority: int = 0
    spec_version: int = 1
    max_attempts: int = 3
    scheduled_for: datetime | None = None
    delay: timedelta = timedelta(0)
    correlation_id: str | None = None

    @property
    def shared(self) -> tuple[object, ...]:
        """What the jobs of one call have in common."""
        return self[5:]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """Where a stored job was when it was read, and nothing of what it was given, returned or raised."""

    id: str
    job_name: str
    status: JobStatus
    is_parked: bool
    queue: str
    priority: int
    progress: int
    progress_message: str | None
    attempt_count: int
    max_attempts: int
    created_at: datetime
    updated_at: datetime
    scheduled_for: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One stored job, as it was when it was read. Times are in UTC; `params` and `result` are JSON text."""

    # No slots, so that the engine can make a record of all its values at once: see `record_of`.

    id: str
    job_name: str
    params: str
    status: JobStatus
    created_at: datetime
    updated_at: datetime
    queue: str = "default"
    priority: int = 0
    spec_version: int = 1
    result: str | None = None
    progress: int = 0
    progress_message: str | None = None
    error: str | None = None
    attempt_count: int = 0
    max_attempts: int = 3
    scheduled_for: datetime | None = None
    worker_started_at: datetime | None = None
    worker_expires_at: datetime | None = None
    completed_at: datetime | None = None
    correlation_id: str | None = None
    unique_key: str | None = None
    cancel_requested: bool = False
    fencing_token: str | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None

    @property
    def is_parked(self) -> bool:
        """Whether it failed because its params cannot be read; see `UNREADABLE`."""
        return self.status is JobStatus.FAILED and self.error is not None and self.error.startswith(UNREADABLE)

    @property
    def summary(self) -> JobSummary:
        """What is short of it."""
        return JobSummary(
            id=self.id,
            job_name=self.job_name,
            status=self.status,
            is_parked=self.is_parked,
            queue=self.queue,
            priority=self.priority,
            progress=self.progress,
            progress_message=self.progress_message,
            attempt_count=self.attempt_count,
            max_attempts=self.max_attempts,
            created_at=self.created_at,
            updated_at=self.updated_at,
            scheduled_for=self.scheduled_for,
            completed_at=self.completed_at,
        )


def record_of(values: Mapping[str, object], **changes: object) -> JobRecord:
    """The record with these values by name, which are all of them and of the right types; not for use outside.

    A frozen dataclass sets its fields one call each; the memory store moves every job twice.
    """
    record = object.__new__(JobRecord)
    vars(record).update(values, **changes)
    return record


class Inserted(NamedTuple):
    """The answer to an insert: the id, and whether it is new or that of the unfinished job with the same unique key."""

    id: str
    created: bool


class Claim(NamedTuple):
    """The right to run one attempt of a job until its lease runs out, and what its handler needs of the row.

    `params` is JSON text, `attempt` counts from 1, `token` is unlike that of any other claim.
    """

    # A tuple, as it is made and thrown away once for every job.

    id: str
    job_name: str
    spec_version: int
    params: str
    attempt: int
    max_attempts: int
    correlation_id: str | None
    token: str


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job name and the spec version of it that a worker can run, and the limits of its job."""

    name: str
    version: int
    concurrency: ConcurrencyLimit | None = None
    rate: RateLimit | None = None

    @property
    def is_limited(self) -> bool:
        """Whether claims of it are held back by a limit."""
        return self.concurrency is not None or self.rate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """What a worker is ready to run. `queues` None means every queue.

    At most `limit` jobs, and among them at most `slots` (None: any number) that must start at once: jobs that were
    attempted before, one of which may have killed its worker, and jobs with a single attempt, which they would lose
    unrun if the worker died. At most `limited` (None: any number) of the others have a limit: a claim that waits for a
    slot uses up the limit.

    Raises `InvalidOptionError` for a queue whose name none can have.
    """

    known: tuple[KnownJob, ...]
    limit: int
    lease: timedelta
    queues: tuple[str, ...] | None = None
    slots: int | None = None
    limited: int | None = None

    def __post_init__(self) -> None:
        for queue in self.queues or ():
            check_text("queues", queue)


@dataclass(frozen=True, slots=True)
class Report:
    """How far an attempt has come: 0 to 100, and what it is doing."""

    progress: int
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life of one claim, with its latest progress."""

    id: str
    token: str
    progress: int
    message: str | None


class Hold(StrEnum):
    """The answer to a heartbeat: the lease is renewed; the job is to be cancelled; or the claim is lost.

    `BUSY`: another transaction has locked the row. The claim stands, but its lease could not be renewed.
    """

    HELD = "held"
    BUSY = "busy"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


class Completed(NamedTuple):
    """The attempt succeeded with this result (JSON text).

    Every settlement carries the newest `report` of progress, None when the row has it already.
    """

    id: str
    token: str
    result: str
    report: Report | None = None


class Failed(NamedTuple):
    """The attempt failed. `retry_after` None means that another attempt is pointless."""

    id: str
    token: str
    error: str
    retry_after: timedelta | None
    report: Report | None = None


class Released(NamedTuple):
    """The attempt was given back unfinished and does not count: at shutdown, or because its handler asked for it.

    Due again after `delay`; None leaves the job's place in the queue as it was.
    """

    id: str
    token: str
    delay: timedelta | None = None
    report: Report | None = None


class Cancelled(NamedTuple):
    """The handler decided that the job is not to be done; `reason` is stored as its error."""

    id: str
    token: str
    reason: str
    report: Report | None = None


Settlement = Completed | Failed | Released | Cancelled


@dataclass(frozen=True, slots=True)
class Expired:
    """A job whose lease ran out, and the status it was put in."""

    id: str
    job_name: str
    status: JobStatus


class Cancellation(StrEnum):
    """What a request to cancel led to."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    FINISHED = "finished"


class Deletion(StrEnum):
    """What a request to delete a job led to."""

    DELETED = "deleted"
    RUNNING = "running"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Params (JSON text) in the place of those that cannot be read, and what follows from them.

    `instead_of` is the job as it was read: it is repaired only if it is still parked or pending, with the same params
    in the same version. Its unique key stays.
    """

    instead_of: JobRecord
    params: str
    spec_version: int
    concurrency_key: str | None = None
    rate_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs to list, newest first. `before` is the id after which the page starts (keyset paging).

    `queues`: only jobs of these queues. `parked`: only those that failed because their params cannot be read. Raises
    `InvalidOptionError` unless `limit` is 1 to 1000, and for texts with NUL characters or lone surrogates.
    """

    status: JobStatus | None = None
    job_name: str | None = None
    queue: str | None = None
    queues: tuple[str, ...] | None = None
    correlation_id: str | None = None
    before: str | None = None
    limit: int = 50
    parked: bool = False

    def __post_init__(self) -> None:
        given: object = self.limit  # callers without a type checker give anything
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= LONGEST_PAGE:
            raise InvalidOptionError(f"limit must be a whole number between 1 and {LONGEST_PAGE}, not {given!r}")
        for name in ("job_name", "queue", "correlation_id", "before"):
            text: str | None = getattr(self, name)
            if text is not None:
                check_text(name, text)


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of one name are in one status, and how many of them are parked."""

    job_name: str
    status: JobStatus
    count: int
    parked: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to do at this moment: leases that have run out, schedules that are due, jobs to claim."""

    has_expired: bool
    has_due_schedule: bool
    has_due_job: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """One stored schedule; its times are slots in UTC. `next_run_at` None: no scheduler has planned it yet."""

    id: str
    job_name: str
    name: str
    cron_expression: str
    timezone: str
    misfire: str
    params: str
    enabled: bool = True
    last_run_at: datetime | None = None
    next_run_at: datetime | None = None
    last_job_id: str | None = None
    misfire_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """The schedules that one registry declares for one job."""

    job_name: str
    schedules: tuple[ScheduleRecord, ...]

    @property
    def fingerprint(self) -> str:
        """Return the same text for the same schedules, in whatever order."""
        rules = sorted(
            [each.name, each.cron_expression, each.timezone, each.misfire, str(each.misfire_limit), each.params]
            for each in self.schedules
        )
        return sha256(repr(rules).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """The schedules that are due or not yet planned, and the store's clock when they were read."""

    now: datetime
    schedules: tuple[ScheduleRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """The slots of a schedule that are to become jobs, oldest first, and the slot to wait for next.

    `rule` is the cron expression and the time zone they were computed from.
    """

    schedule_id: str
    rule: tuple[str, str]
    slots: tuple[tuple[datetime, NewJob], ...]
    next_run_at: datetime


@dataclass(frozen=True, slots=True)
class PausedQueue:
    """A queue from which nothing is claimed, and since when."""

    name: str
    paused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRule:
    """Which finished jobs may be deleted: those of this name (None: of any) that ended more than `age` ago so."""

    status: JobStatus
    age: timedelta
    job_name: str | None = None

    def __post_init__(self) -> None:
        if not self.status.is_finished:
            raise InvalidOptionError(f"only finished jobs can be pruned, and {self.status} ones are not")
        if self.job_name is not None:
            check_text("job_name", self.job_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneStep:
    """One small step of a walk over all jobs by id: look at the `limit` that follow the id `after`.

    Raises `InvalidOptionError` unless `limit` is 1 to 10,000.
    """

    rules: tuple[PruneRule, ...]
    after: str = ""
    limit: int = PRUNE_STEP
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LONGEST_PRUNE_STEP:
            raise InvalidOptionError(f"limit must be between 1 and {LONGEST_PRUNE_STEP}, not {self.limit}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many jobs a step deleted (or would have), and the id where the walk goes on; None: it has seen all jobs."""

    count: int
    after: str | None
