"""Background jobs whose contract is a file: validated before they are stored, fenced while they run."""

from __future__ import annotations

from .backend import Backend
from .connection import connect
from .context import JobContext, create_job_context
from .errors import (
    DatabaseBusyError,
    DatabaseError,
    DuplicateJobError,
    DuplicateRegistrationError,
    HandlerMissingError,
    HandlerNotImplementedError,
    InvalidDocumentError,
    InvalidOptionError,
    InvalidParamsError,
    InvalidResultError,
    JobFailedError,
    JobNotBoundError,
    JobNotFoundError,
    JobNotRetryableError,
    JobUnavailableError,
    Problem,
    ProjectError,
    ScheduleError,
    SchemaMissingError,
    ServerJobsError,
    StaleClaimError,
    UnknownJobError,
)
from .handle import JobHandle
from .job import Handler, Job, define_job
from .options import JobOptions, Misfire, Schedule
from .outcomes import Cancel, DoNotRetryError, RetryAfterError, Snooze
from .record import Cancellation, JobCount, JobQuery, JobRecord, JobStatus
from .registry import JobRegistry, create_job_registry
from .result import JobMetadata, JobResult
from .retry import Backoff, RetryPolicy
from .worker import Tick, Worker, tick

JOB_STATUS = JobStatus
"""The name of `JobStatus` in the TypeScript package."""

__version__ = "0.1.0"

__all__ = [
    "JOB_STATUS",
    "Backend",
    "Backoff",
    "Cancel",
    "Cancellation",
    "DatabaseBusyError",
    "DatabaseError",
    "DoNotRetryError",
    "DuplicateJobError",
    "DuplicateRegistrationError",
    "Handler",
    "HandlerMissingError",
    "HandlerNotImplementedError",
    "InvalidDocumentError",
    "InvalidOptionError",
    "InvalidParamsError",
    "InvalidResultError",
    "Job",
    "JobContext",
    "JobCount",
    "JobFailedError",
    "JobHandle",
    "JobMetadata",
    "JobNotBoundError",
    "JobNotFoundError",
    "JobNotRetryableError",
    "JobOptions",
    "JobQuery",
    "JobRecord",
    "JobRegistry",
    "JobResult",
    "JobStatus",
    "JobUnavailableError",
    "Misfire",
    "Problem",
    "ProjectError",
    "RetryAfterError",
    "RetryPolicy",
    "Schedule",
    "ScheduleError",
    "SchemaMissingError",
    "ServerJobsError",
    "Snooze",
    "StaleClaimError",
    "Tick",
    "UnknownJobError",
    "Worker",
    "__version__",
    "connect",
    "create_job_context",
    "create_job_registry",
    "define_job",
    "tick",
]
