"""Results and metadata of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar, cast

from .domain.record import JobRecord, JobStatus, JobSummary
from .errors import JobFailedError

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMetadata:
    """Data about a run, without its result. `job_id` is None if the run is not stored. Times are in UTC."""

    job_id: str | None
    job_name: str
    status: JobStatus
    attempt_count: int
    enqueued_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: str | None = None

    @classmethod
    def of(cls, record: JobRecord) -> JobMetadata:
        """Return the metadata of a stored job."""
        return cls(
            job_id=record.id,
            job_name=record.job_name,
            status=record.status,
            attempt_count=record.attempt_count,
            enqueued_at=record.created_at,
            started_at=record.worker_started_at,
            completed_at=record.completed_at,
            error=record.error,
        )


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The progress of a job: its status, and percentage (0 to 100) and message of the newest attempt."""

    status: JobStatus
    percent: int
    message: str | None
    attempt_count: int

    @classmethod
    def of(cls, record: JobRecord | JobSummary) -> JobProgress:
        """Return the progress of a stored job."""
        return cls(record.status, record.progress, record.progress_message, record.attempt_count)


@dataclass(frozen=True, slots=True)
class JobResult(Generic[R]):
    """The outcome of one run: the typed result, or the error.

    Its `repr` leaves out the result, which may be secret.
    """

    metadata: JobMetadata
    value: R | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the job completed."""
        return self.metadata.status is JobStatus.COMPLETED

    @property
    def error(self) -> str | None:
        """The error; None if the job completed."""
        return None if self.ok else self.metadata.error

    @property
    def data(self) -> R:
        """The result; None for a job without one.

        Raises `JobFailedError` if the job did not complete, so that no error goes unnoticed.
        """
        if not self.ok:
            found = self.metadata
            raise JobFailedError(found.job_name, found.job_id, found.status, found.error)
        return cast("R", self.value)
