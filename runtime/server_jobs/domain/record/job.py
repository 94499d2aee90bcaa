"""Stored jobs, and the description of each column of the table `jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
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


class Giver(StrEnum):
    """Who gives a column its value first."""

    CALLER = "caller"
    """The call that enqueues the job, or the spec of the job."""
    CLAIM = "claim"
    SETTLEMENT = "settlement"
    STORE = "store"
    """The store, by itself or for a person."""


class Shown(StrEnum):
    """Where people see a column: in documents, in `show`, and on the page of the job."""

    EVERYWHERE = "everywhere"
    """In lists of jobs too."""
    DETAILS = "details"
    """With all values of one job."""
    NOWHERE = "nowhere"


class JobColumn(NamedTuple):
    """The description of a column, from which tables, statements, documents and clients follow.

    A field of `JobRecord` has it in its metadata. `JOB_COLUMNS` adds the parts that follow from the field.
    """

    about: str
    """The value in one sentence or two, for people. `NULL` stands for no value."""
    given_by: Giver
    shown: Shown = Shown.DETAILS
    label: str = ""
    """The name for people, in lower case. Default: the name of the field, with spaces."""
    is_id: bool = False
    """Whether databases compare the texts byte by byte."""
    view: str = ""
    """The name in the views of the specs, if they have the column."""
    name: str = ""
    type: str = ""
    """`str`, `int`, `bool`, `datetime` or `JobStatus`."""
    is_nullable: bool = False
    default: object = None
    """The value of a row that was inserted without one; None: NULL, or that the table has none."""


def _column(
    about: str,
    given_by: Giver,
    shown: Shown = Shown.DETAILS,
    *,
    label: str = "",
    is_id: bool = False,
    view: str = "",
) -> Mapping[str, JobColumn]:
    """Return the metadata of a field."""
    return {"column": JobColumn(about, given_by, shown, label, is_id, view)}


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
    """A stored job at the time of the read. Times are in UTC. `params` and `result` are JSON text.

    The fields are the columns of the table, in its order. A new one comes last.
    """

    # Without slots, so that `record_of` can set all fields at once.

    id: str = field(
        metadata=_column(
            "UUIDv7 in lower case. Newer jobs sort after older ones.",
            Giver.CALLER,
            Shown.EVERYWHERE,
            is_id=True,
            view="id",
        )
    )
    job_name: str = field(metadata=_column("The title of the spec.", Giver.CALLER, Shown.EVERYWHERE, label="job"))
    params: str = field(metadata=_column("The params as JSON text, as they were enqueued.", Giver.CALLER))
    result: str | None = field(
        default=None,
        metadata=_column("The result as JSON text, or NULL until the job is completed.", Giver.SETTLEMENT),
    )
    status: JobStatus = field(
        metadata=_column(
            "`pending`, `running`, `completed`, `failed` or `cancelled`.", Giver.STORE, Shown.EVERYWHERE, view="status"
        )
    )
    progress: int = field(
        default=0,
        metadata=_column(
            "0 to 100. A claim sets it to 0, a completion to 100.", Giver.CLAIM, Shown.EVERYWHERE, view="progress"
        ),
    )
    progress_message: str | None = field(
        default=None,
        metadata=_column(
            "The last message of the handler about its progress.", Giver.SETTLEMENT, view="progress_message"
        ),
    )
    error: str | None = field(
        default=None,
        metadata=_column(
            "The error of the last failed attempt, or the reason of a cancellation. `UNREADABLE: ` marks a parked job.",
            Giver.SETTLEMENT,
            view="error",
        ),
    )
    worker_started_at: datetime | None = field(
        default=None,
        metadata=_column("When the last attempt was claimed.", Giver.CLAIM, label="started", view="started_at"),
    )
    worker_expires_at: datetime | None = field(
        default=None,
        metadata=_column(
            "When the lease of the current claim expires. NULL unless the job is running.",
            Giver.CLAIM,
            label="lease until",
        ),
    )
    attempt_count: int = field(
        default=0,
        metadata=_column(
            "Attempts that count, the current one included.",
            Giver.CLAIM,
            Shown.EVERYWHERE,
            label="attempts",
            view="attempt_count",
        ),
    )
    max_attempts: int = field(
        default=3, metadata=_column("Attempts in all.", Giver.CALLER, Shown.EVERYWHERE, view="max_attempts")
    )
    scheduled_for: datetime = field(
        metadata=_column(
            "When the job is due. Without a delay, the time of its enqueue.",
            Giver.CALLER,
            Shown.EVERYWHERE,
            label="due",
            view="scheduled_for",
        )
    )
    start_before: datetime | None = field(
        default=None,
        metadata=_column(
            "The job is cancelled if it is still pending after this time. NULL: never.", Giver.CALLER, label="start by"
        ),
    )
    correlation_id: str | None = field(
        default=None,
        metadata=_column(
            "An id of the caller that jobs enqueued by the handler inherit.",
            Giver.CALLER,
            label="correlation",
            view="correlation_id",
        ),
    )
    created_at: datetime = field(
        metadata=_column(
            "When the job was enqueued.", Giver.STORE, Shown.EVERYWHERE, label="created", view="created_at"
        )
    )
    updated_at: datetime = field(
        metadata=_column(
            "When the row changed last.", Giver.STORE, Shown.EVERYWHERE, label="changed", view="updated_at"
        )
    )
    completed_at: datetime | None = field(
        default=None,
        metadata=_column(
            "When the job was completed, failed or cancelled.",
            Giver.SETTLEMENT,
            Shown.EVERYWHERE,
            label="finished",
            view="completed_at",
        ),
    )
    queue: str = field(
        default="default",
        metadata=_column("The queue in which the job waits.", Giver.CALLER, Shown.EVERYWHERE, view="queue"),
    )
    priority: int = field(
        default=0,
        metadata=_column(
            "-100 to 100. Higher priorities are claimed first.", Giver.CALLER, Shown.EVERYWHERE, view="priority"
        ),
    )
    spec_version: int = field(
        default=1,
        metadata=_column("The version of the spec that the params fit.", Giver.CALLER, label="version", view="version"),
    )
    fencing_token: str | None = field(
        default=None,
        metadata=_column(
            "The token of the current claim. NULL unless the job is running.", Giver.CLAIM, Shown.NOWHERE, is_id=True
        ),
    )
    unique_key: str | None = field(
        default=None,
        metadata=_column(
            "A hash of the values at `unique.by`, or the key that the caller gave. One unfinished job owns it.",
            Giver.CALLER,
        ),
    )
    cancel_requested: bool = field(
        default=False,
        metadata=_column("Whether the running job was asked to stop.", Giver.STORE, label="cancel"),
    )
    concurrency_key: str | None = field(
        default=None,
        metadata=_column("A hash of the values at `concurrency.by`. NULL without limits.", Giver.CALLER, Shown.NOWHERE),
    )
    rate_key: str | None = field(
        default=None,
        metadata=_column("A hash of the values at `rate.by`. NULL without limits.", Giver.CALLER, Shown.NOWHERE),
    )
    error_class: str | None = field(
        default=None,
        metadata=_column("The name of the exception of the last failed attempt.", Giver.SETTLEMENT),
    )
    worker_id: str | None = field(
        default=None,
        metadata=_column("The long-lived worker of the last claim; see `job_workers`.", Giver.CLAIM, label="worker"),
    )
    headers: str | None = field(
        default=None,
        metadata=_column(
            "A JSON object of texts that middleware stored, such as the trace of the caller.",
            Giver.CALLER,
            Shown.NOWHERE,
        ),
    )
    batch_id: str | None = field(
        default=None,
        metadata=_column(
            "The id of the batch. The completion job of the batch has it as its own id.",
            Giver.CALLER,
            label="batch",
            is_id=True,
        ),
    )
    replaced_by: str | None = field(
        default=None,
        metadata=_column(
            "The job that took over the unique key while this job ran, which is not retried.",
            Giver.STORE,
            is_id=True,
        ),
    )

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
        summary = {one.name: getattr(self, one.name) for one in fields(JobSummary)}
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


def _described(name: str, kind: str, default: object, metadata: Mapping[str, JobColumn]) -> JobColumn:
    column, of = metadata["column"], kind.removesuffix(" | None")
    default = None if default is MISSING else default
    label = column.label or name.replace("_", " ")
    return column._replace(name=name, type=of, label=label, is_nullable=of != kind, default=default)


JOB_COLUMNS: Mapping[str, JobColumn] = {
    one.name: _described(one.name, str(one.type), one.default, one.metadata) for one in fields(JobRecord)
}
"""All columns of the table `jobs` by name, in its order."""

GIVEN_COLUMNS = tuple(name for name in NewJob._fields if name in JOB_COLUMNS and name != "scheduled_for")
"""The columns that an insert takes from `NewJob` unchanged, in its order."""
SHARED_COLUMNS = GIVEN_COLUMNS[GIVEN_COLUMNS.index("job_name") :]
"""Those of them that all jobs of one call share."""
