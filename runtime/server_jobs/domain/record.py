"""Records: the values that pass between the engine and a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidOptionError
from .options import OnConflict, ScheduleSource
from .text_limits import LONGEST_CORRELATION_ID, check_text

if TYPE_CHECKING:
    from .options import ConcurrencyLimit, RateLimit
    from .search import Condition

LONGEST_PAGE = 1000
UNREADABLE = "UNREADABLE: "
"""Prefix of the error of a parked job: its params could not be read, so its handler was never called.

Only the engine writes the prefix; it changes the error of a handler that starts with the same text. A parked job is
never pruned. It waits until somebody repairs or retries it.
"""
WAITS = datetime(9999, 12, 31, tzinfo=UTC)
"""The due time of a completion job while its batch has unfinished jobs.

The jobs of a batch have its id in `batch_id`. The completion job has it as its own id too, so that a batch has at most
one. It is stored together with the jobs, as a pending job.
"""
LEASE_EXPIRED = "LeaseExpired"
"""The `error_class` of an attempt whose lease expired."""
LONGEST_PRUNE_STEP = 10_000
MOST_LATE = 1000
"""Jobs that one step of `cancel_late` cancels."""
PRUNE_STEP = 1000


class JobStatus(StrEnum):
    """The status of a job. A job between two attempts is `pending` with `attempt_count > 0`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether only `retry` can change the job."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


class Outcome(StrEnum):
    """The outcome of an attempt.

    `FAILED`, `TIMED_OUT` and `EXPIRED` attempts count; the job is retried while it has attempts left. After an
    `UNREADABLE` one it is parked. `SNOOZED` and `RELEASED` attempts do not count, and the job is pending again. `LOST`:
    the claim was stale, and nothing was stored.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    CANCELLED = "cancelled"
    SNOOZED = "snoozed"
    RELEASED = "released"
    LOST = "lost"

    @property
    def is_failure(self) -> bool:
        """Whether the attempt counts as failed in logs and statistics."""
        return self not in (Outcome.COMPLETED, Outcome.CANCELLED, Outcome.SNOOZED, Outcome.RELEASED)


class NewJob(NamedTuple):
    """A job to store. `params` is validated JSON text.

    The job is due at `scheduled_for`, or `delay` after the current time of the store if that is None. No attempt starts
    later than `expires_after` after the due time. `job_keys` in `contract` makes the keys; the keys of limits are None
    for a job without limits. `on_conflict` decides over an unfinished job with the same unique key. `headers` is a JSON
    object of texts. `batch_id` is the id of its batch; a completion job has the same `id`. `shard_key` chooses the
    shard in a sharded store, and is not stored; None: the first shard.
    """

    # A tuple: one call may make thousands of jobs, which differ in the first fields only.

    id: str
    params: str
    unique_key: str | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None
    shard_key: str | None = None
    job_name: str = ""
    queue: str = "default"
    priority: int = 0
    spec_version: int = 1
    max_attempts: int = 3
    scheduled_for: datetime | None = None
    delay: timedelta = timedelta(0)
    expires_after: timedelta | None = None
    correlation_id: str | None = None
    headers: str | None = None
    batch_id: str | None = None
    on_conflict: OnConflict = OnConflict.KEEP

    @property
    def shared(self) -> tuple[object, ...]:
        """The fields that all jobs of one call share."""
        return self[6:]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A stored job without params, result and error."""

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


SHORT_PARAMS = 2000
"""Bytes of the longest params that a preview has."""
SHORT_ERROR = 1000
"""Characters of the error that a preview has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPreview(JobSummary):
    """A stored job for a list: with its params if they are short, and the start of its error."""

    spec_version: int
    params: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A stored job at the time of the read. Times are in UTC. `params` and `result` are JSON text."""

    # Without slots, so that `record_of` can set all fields at once.

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
    start_before: datetime | None = None
    worker_started_at: datetime | None = None
    worker_expires_at: datetime | None = None
    completed_at: datetime | None = None
    correlation_id: str | None = None
    unique_key: str | None = None
    cancel_requested: bool = False
    fencing_token: str | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None
    error_class: str | None = None
    worker_id: str | None = None
    headers: str | None = None
    batch_id: str | None = None
    replaced_by: str | None = None

    @property
    def is_completion(self) -> bool:
        """Whether this is the completion job of its batch."""
        return self.id == self.batch_id

    @property
    def waits_for_batch(self) -> bool:
        """Whether this is a completion job whose batch had unfinished jobs when somebody looked last."""
        return self.is_completion and self.scheduled_for == WAITS

    @property
    def is_parked(self) -> bool:
        """Whether the job failed because its params cannot be read; see `UNREADABLE`."""
        return self.status is JobStatus.FAILED and self.error is not None and self.error.startswith(UNREADABLE)

    @property
    def summary(self) -> JobSummary:
        """Return the job without params, result and error."""
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

    @property
    def preview(self) -> JobPreview:
        """Return the job for a list."""
        is_short = len(self.params.encode(errors="surrogatepass")) <= SHORT_PARAMS
        summary = {field.name: getattr(self, field.name) for field in fields(JobSummary)}
        return JobPreview(
            **summary,
            spec_version=self.spec_version,
            params=self.params if is_short else None,
            error=None if self.error is None else self.error[:SHORT_ERROR],
        )


def record_of(values: Mapping[str, object], **changes: object) -> JobRecord:
    """Make a record from a mapping with all fields. Does not check anything; for stores only.

    The constructor of a frozen dataclass makes one call per field, which is too slow for the memory store.
    """
    record = object.__new__(JobRecord)
    vars(record).update(values, **changes)
    return record


class Inserted(NamedTuple):
    """The answer to an insert: the id, and whether the job is new. If not, an unfinished job has its unique key."""

    id: str
    created: bool


class Claim(NamedTuple):
    """The right to run one attempt of a job until the lease expires, with the data for its handler.

    `params` is JSON text, `attempt` counts from 1, and `token` is unique among all claims. `headers` is a JSON object
    of texts, or None. `due_at` is the time since which the job could be claimed; None if the store does not return it.
    `batch_id` is the id of its batch, or None.
    """

    # A tuple, because every job makes one.

    id: str
    job_name: str
    spec_version: int
    params: str
    attempt: int
    max_attempts: int
    correlation_id: str | None
    token: str
    headers: str | None = None
    due_at: datetime | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job name and a spec version that a worker can run, with the limits of the job."""

    name: str
    version: int
    concurrency: ConcurrencyLimit | None = None
    rate: RateLimit | None = None

    @property
    def is_limited(self) -> bool:
        """Whether the job has a limit."""
        return self.concurrency is not None or self.rate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """The jobs that a worker can claim. `queues` None means every queue.

    The claim returns at most `limit` jobs. At most `slots` of them (None: unlimited) must start at once. These are jobs
    with an earlier attempt, which may have killed its worker, and jobs with a single attempt, which the death of the
    worker would use up. At most `limited` of the others (None: unlimited) have a limit, because a waiting claim uses
    up the limit. `worker_id` is the id of a long-lived worker, or None.

    Raises `InvalidOptionError` for an invalid name of a queue.
    """

    known: tuple[KnownJob, ...]
    limit: int
    lease: timedelta
    queues: tuple[str, ...] | None = None
    slots: int | None = None
    limited: int | None = None
    worker_id: str | None = None

    def __post_init__(self) -> None:
        for queue in self.queues or ():
            check_text("queues", queue)


@dataclass(frozen=True, slots=True)
class Report:
    """Progress of an attempt: 0 to 100, and a message."""

    progress: int
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A request to renew the lease of one claim, with its latest progress."""

    id: str
    token: str
    progress: int
    message: str | None


class LeaseAnswer(StrEnum):
    """The answer to a heartbeat: the lease is renewed, the job should stop, or the claim is lost.

    `BUSY`: another transaction locked the row. The claim is still valid, but its lease was not renewed.
    """

    RENEWED = "renewed"
    BUSY = "busy"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


class Ended(NamedTuple):
    """The part of an attempt that the history keeps, if the attempt did not complete.

    `error_class` is the name of the exception. `traceback` has at most 16 KiB.
    """

    outcome: Outcome
    error_class: str | None = None
    traceback: str | None = None


class Completed(NamedTuple):
    """The attempt succeeded with this result (JSON text).

    Every settlement has the newest `report` of progress, or None if the row has it already.
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
    ended: Ended = Ended(Outcome.FAILED)


class Released(NamedTuple):
    """The attempt was released and does not count: at shutdown, or because the handler snoozed.

    The job is due after `delay`; None keeps its place in the queue. `ended` None: the handler was not called, and the
    history keeps nothing.
    """

    id: str
    token: str
    delay: timedelta | None = None
    report: Report | None = None
    ended: Ended | None = None


class Cancelled(NamedTuple):
    """The handler cancelled the job. `reason` is stored as its error."""

    id: str
    token: str
    reason: str
    report: Report | None = None
    ended: Ended = Ended(Outcome.CANCELLED)


Settlement = Completed | Failed | Released | Cancelled


@dataclass(frozen=True, slots=True)
class Expired:
    """A job whose lease expired, and its new status."""

    id: str
    job_name: str
    status: JobStatus


class LateJob(NamedTuple):
    """A job that was cancelled, because no attempt may start any more."""

    id: str
    job_name: str


class Cancellation(StrEnum):
    """The result of a request to cancel.

    `NOT_FOUND` is an answer for many jobs only: the job is not stored, or no longer matches the filter.
    """

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    FINISHED = "finished"
    NOT_FOUND = "not found"


class Retrial(StrEnum):
    """The result of a request to retry one of many jobs.

    `DUPLICATE`: an unfinished job has the same unique key. `NOT_FOUND`: the job is not stored, or no longer matches the
    filter.
    """

    RETRIED = "retried"
    DUPLICATE = "duplicate"
    NOT_RETRYABLE = "not retryable"
    NOT_FOUND = "not found"


class Deletion(StrEnum):
    """The result of a request to delete a job. `NOT_FOUND`: it is not stored, or no longer matches the filter."""

    DELETED = "deleted"
    RUNNING = "running"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Params (JSON text) that replace unreadable ones, and the fields that depend on them.

    `instead_of` is the job as it was read. The repair applies only if the job is still parked or pending, with the same
    params and version. The unique key stays.
    """

    instead_of: JobRecord
    params: str
    spec_version: int
    concurrency_key: str | None = None
    rate_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Jobs that match every given field. Without fields: all jobs.

    `status` is one status, or several. `parked`: only parked jobs. `batch_id`: only jobs of this batch, without its
    completion job. The age of a job counts from its end, or from its creation while it is unfinished: `older_than` and
    `newer_than` compare it with the time of the store. `where` has conditions on values of params and result. Raises
    `InvalidOptionError` for a negative age, and for texts with NUL characters or lone surrogates.
    """

    status: JobStatus | tuple[JobStatus, ...] | None = None
    parked: bool = False
    job_name: str | None = None
    spec_version: int | None = None
    queues: tuple[str, ...] | None = None
    error_class: str | None = None
    correlation_id: str | None = None
    worker_id: str | None = None
    batch_id: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        for name in ("job_name", "error_class", "correlation_id", "worker_id", "batch_id"):
            text: str | None = getattr(self, name)
            if text is not None:
                check_text(name, text)
        for queue in self.queues or ():
            check_text("queues", queue)
        for name in ("older_than", "newer_than"):
            age: timedelta | None = getattr(self, name)
            if age is not None and age < timedelta(0):
                raise InvalidOptionError(f"{name} must not be negative, and is {age}")

    @property
    def statuses(self) -> tuple[JobStatus, ...] | None:
        """The statuses that match; None: any."""
        return (self.status,) if isinstance(self.status, JobStatus) else self.status


EVERY_JOB = JobFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery(JobFilter):
    """A page of jobs that match the filter, newest first. `before` is the last id of the page before.

    `ids`: only jobs with these ids. A page has no `where`: `find` the ids first. Raises `InvalidOptionError` for a
    `where`, unless `limit` is 1 to 1000, and as `JobFilter` does.
    """

    before: str | None = None
    limit: int = 50
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        JobFilter.__post_init__(self)  # a class with slots has no `super()` here
        given: object = self.limit  # callers may not use a type checker
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= LONGEST_PAGE:
            raise InvalidOptionError(f"limit must be a whole number between 1 and {LONGEST_PAGE}, not {given!r}")
        if self.before is not None:
            check_text("before", self.before)
        if self.where:
            raise InvalidOptionError("a page of jobs has no `where`; find the ids of the jobs first")

    @classmethod
    def of(
        cls, wanted: JobFilter, *, before: str | None = None, limit: int = 50, ids: tuple[str, ...] | None = None
    ) -> JobQuery:
        """Return the page for a filter."""
        given = {field.name: getattr(wanted, field.name) for field in fields(JobFilter)}
        return cls(**given, before=before, limit=limit, ids=ids)


@dataclass(frozen=True, slots=True)
class JobCount:
    """The number of jobs with one name and status, and how many of them are parked."""

    job_name: str
    status: JobStatus
    count: int
    parked: int = 0


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Pending work: expired leases, due schedules, jobs to claim, the report of the tick that asks, completion jobs of
    ended batches, and late jobs.
    """

    has_expired: bool
    has_due_schedule: bool
    has_due_job: bool
    has_due_report: bool = False
    has_ended_batch: bool = False
    has_late: bool = False


@dataclass(frozen=True, slots=True)
class UpcomingWork:
    """The time until there is work for the jobs of a request. Zero: there is now. None: nothing is stored for it.

    `until_due` is the time until a pending job is due, `until_lease_end` until the lease of a running job ends, and
    `until_slot` until a schedule has a slot. A schedule without a planned slot counts as due. `until_later` is like
    `until_due`, without the jobs that are due already.
    """

    until_due: timedelta | None = None
    until_lease_end: timedelta | None = None
    until_slot: timedelta | None = None
    until_later: timedelta | None = None

    def earliest(self, pause: timedelta = timedelta(0)) -> timedelta | None:
        """Return the time until the first of them. Work that is due now waits for the pause; later work does not."""
        found = (self.until_due, self.until_lease_end, self.until_slot)
        waits = [wait or pause for wait in found if wait is not None]
        return min(waits if self.until_later is None else [*waits, self.until_later], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """A stored schedule. Its times are slots in UTC. `next_run_at` None: not planned yet.

    `spec_version` is the version of the spec that the params of an added schedule fit; None if it is declared. Not
    stored are `shard`, the shard that a declaration names, and `shard_key`, the shard key of its params.
    """

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
    source: str = ScheduleSource.DECLARED
    spec_version: int | None = None
    shard: str | None = None
    shard_key: str | None = None

    @property
    def label(self) -> str:
        """Return the name for people and for the audit log: `DailyDigest/every-morning`."""
        return f"{self.job_name}/{self.name}"

    @property
    def correlation_id(self) -> str:
        """Return the correlation id of jobs that a person runs now: the label, cut if it is too long."""
        return self.label[:LONGEST_CORRELATION_ID]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """New values of an added schedule. None keeps the stored value.

    `misfire` comes with `misfire_limit`, and `params` with `spec_version` and `shard_key`.
    """

    cron_expression: str | None = None
    timezone: str | None = None
    misfire: str | None = None
    misfire_limit: int | None = None
    params: str | None = None
    spec_version: int | None = None
    shard_key: str | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """The schedules that one registry declares for one job.

    `elsewhere` has the schedules of other shards. Migrations store all schedules in each shard, so these are removed.
    """

    job_name: str
    schedules: tuple[ScheduleRecord, ...]
    elsewhere: tuple[ScheduleRecord, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Return a text that is the same for the same schedules in any order."""
        rules = sorted(
            [each.name, each.cron_expression, each.timezone, each.misfire, str(each.misfire_limit), each.params]
            for each in self.schedules
        )
        return sha256(repr(rules).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """Schedules that are due or not planned yet, and the time of the store at the read."""

    now: datetime
    schedules: tuple[ScheduleRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """The slots of a schedule to fire, oldest first, and the next slot to wait for.

    `rule` is the cron expression and the time zone of the computation.
    """

    schedule_id: str
    rule: tuple[str, str]
    slots: tuple[tuple[datetime, NewJob], ...]
    next_run_at: datetime


@dataclass(frozen=True, slots=True)
class PausedQueue:
    """A paused queue, and the time of the pause."""

    name: str
    paused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRule:
    """Deletes finished jobs of this name (None: any) and status that ended more than `age` ago."""

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
    """One step of a scan over all jobs by id: the `limit` jobs after the id `after`.

    `among` limits the step to jobs that match a filter, without its `where`. With `ids`, the step is about these jobs
    instead. Raises `InvalidOptionError` unless `limit` is 1 to 10,000.
    """

    rules: tuple[PruneRule, ...]
    after: str = ""
    limit: int = PRUNE_STEP
    dry_run: bool = False
    among: JobFilter = EVERY_JOB
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LONGEST_PRUNE_STEP:
            raise InvalidOptionError(f"limit must be between 1 and {LONGEST_PRUNE_STEP}, not {self.limit}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """The number of jobs that a step deleted or would delete, and the last scanned id; None where the scan ends."""

    count: int
    after: str | None
