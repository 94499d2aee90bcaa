"""Stored jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple

from ..options import OnConflict

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
SHORT_PARAMS = 2000
"""Bytes of the longest params that a preview has."""
SHORT_ERROR = 1000
"""Characters of the error that a preview has."""


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


class NewJob(NamedTuple):
    """A job to store. `params` is validated JSON text.

    The job is due at `scheduled_for`, or `delay` after the current time of the store if that is None. No attempt starts
    later than `expires_after` after the due time. `job_keys` in `contract` makes the keys; the keys of limits are None
    for a job without limits. `on_conflict` decides over an unfinished job with the same unique key. `headers` is a JSON
    object of texts. `batch_id` is the id of its batch; a completion job has the same `id`. `shard_key` is the
    text of the value at `shardBy`, and is not stored.
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


shared_fields = itemgetter(slice(NewJob._fields.index("job_name"), None))
"""Returns the fields that all jobs of one call share."""


class Inserted(NamedTuple):
    """The answer to an insert: the id, and whether the job is new. If not, an unfinished job has its unique key."""

    id: str
    created: bool


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
    scheduled_for: datetime
    completed_at: datetime | None


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
    scheduled_for: datetime
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
