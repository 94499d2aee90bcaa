"""Background jobs whose contract is a file: validated before they are stored, fenced while they run.

Each name is imported at its first use, so that a process that only enqueues does not wait for the rest.

============================================  ======================================================
to change                                     open
============================================  ======================================================
the calls of a job class: `later`, `now` ...  `enqueuing`, `job`
how a call becomes a record                   `definition`, and `server_jobs.domain.enqueue_options`
`later_in`, in the caller's transaction       `transactions`
the backend that a call uses                  `binding`, `connection`
several databases, and the one of a job       `named_databases`, `routing`
the handles of enqueued jobs, and results     `handle`, `result`
the registry, and late imports of jobs        `registry`, `on_demand`
the second argument of handlers               `context`
log records of handlers                       `logs`
middleware, lifespans and their resources     `hooks`, `middleware`, `resources`
the in-memory backend                         `memory`
the settings in pyproject.toml                `project`
the tables                                    `schema`
errors and their messages                     `errors`
anything below                                `engine`, `stores`, `databases`, `contract`, `domain`
============================================  ======================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import connect, connect_databases, set_database
    from .context import JobContext, create_job_context
    from .contract.json_schema import JobSchemas
    from .contract.slot_params import SlotParams
    from .contract.upcasts import EarlierVersion
    from .definition import Handler
    from .domain.options import (
        Backoff,
        ConcurrencyLimit,
        JobOptions,
        Misfire,
        OnConflict,
        RateLimit,
        Retention,
        RetryPolicy,
        Schedule,
    )
    from .domain.outcomes import Cancel, DoNotRetryError, RetryAfterError, Snooze
    from .domain.record import Cancellation, JobCount, JobFilter, JobQuery, JobRecord, JobStatus, JobSummary, Outcome
    from .domain.search import IndexedColumn
    from .domain.statistics import BatchCounts
    from .engine.backend import Backend
    from .engine.tick import Tick, tick
    from .engine.worker import Worker
    from .errors import (
        BatchNotFoundError,
        DatabaseBusyError,
        DatabaseError,
        DatabaseUnreachableError,
        DependencyError,
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
        JobNotOfferedError,
        JobNotRepairableError,
        JobNotRetryableError,
        JobRetiredError,
        JobUnavailableError,
        PrivilegeMissingError,
        Problem,
        ProjectError,
        RealDatabaseError,
        ResourceNotFoundError,
        ScheduleConflictError,
        ScheduleError,
        ScheduleNotFoundError,
        SchemaMissingError,
        ServerJobsError,
        SetupError,
        StaleClaimError,
        UnknownJobError,
        UpcastError,
        UpcastNotImplementedError,
        ValueTooLargeError,
    )
    from .handle import Batch, JobHandle, ScheduleHandle
    from .handle.backfill import BackfilledSlot, SlotOutcome
    from .isolation.limits import ProcessLimits
    from .job import Job, OptionalParamsJob, RetiredJob, define_job
    from .logs import JobLogFilter
    from .middleware import Enqueue, Middleware, RunningAttempt
    from .named_databases import Databases, NamedBackend
    from .registry import JobRegistry, create_job_registry
    from .result import JobMetadata, JobProgress, JobResult

    JOB_STATUS = JobStatus

__version__ = "0.1.0"

_HOMES = {
    "engine.backend": ("Backend",),
    "connection": ("connect", "connect_databases", "set_database"),
    "context": ("JobContext", "create_job_context"),
    "domain.statistics": ("BatchCounts",),
    "errors": (
        "BatchNotFoundError",
        "DatabaseBusyError",
        "DatabaseError",
        "DatabaseUnreachableError",
        "DependencyError",
        "DuplicateJobError",
        "DuplicateRegistrationError",
        "HandlerMissingError",
        "HandlerNotImplementedError",
        "InvalidDocumentError",
        "InvalidOptionError",
        "InvalidParamsError",
        "InvalidResultError",
        "JobFailedError",
        "JobNotBoundError",
        "JobNotFoundError",
        "JobNotOfferedError",
        "JobNotRepairableError",
        "JobNotRetryableError",
        "JobRetiredError",
        "JobUnavailableError",
        "PrivilegeMissingError",
        "Problem",
        "ProjectError",
        "RealDatabaseError",
        "ResourceNotFoundError",
        "ScheduleConflictError",
        "ScheduleError",
        "ScheduleNotFoundError",
        "SchemaMissingError",
        "ServerJobsError",
        "SetupError",
        "StaleClaimError",
        "UnknownJobError",
        "UpcastError",
        "UpcastNotImplementedError",
        "ValueTooLargeError",
    ),
    "handle": ("Batch", "JobHandle", "ScheduleHandle"),
    "handle.backfill": ("BackfilledSlot", "SlotOutcome"),
    "definition": ("Handler",),
    "job": ("Job", "OptionalParamsJob", "RetiredJob", "define_job"),
    "logs": ("JobLogFilter",),
    "middleware": ("Enqueue", "Middleware", "RunningAttempt"),
    "named_databases": ("Databases", "NamedBackend"),
    "contract.json_schema": ("JobSchemas",),
    "contract.slot_params": ("SlotParams",),
    "domain.options": (
        "Backoff",
        "ConcurrencyLimit",
        "JobOptions",
        "Misfire",
        "OnConflict",
        "RateLimit",
        "Retention",
        "RetryPolicy",
        "Schedule",
    ),
    "domain.outcomes": ("Cancel", "DoNotRetryError", "RetryAfterError", "Snooze"),
    "domain.record": (
        "Cancellation",
        "JobCount",
        "JobFilter",
        "JobQuery",
        "JobRecord",
        "JobStatus",
        "JobSummary",
        "Outcome",
    ),
    "domain.search": ("IndexedColumn",),
    "registry": ("JobRegistry", "create_job_registry"),
    "result": ("JobMetadata", "JobProgress", "JobResult"),
    "engine.tick": ("Tick", "tick"),
    "contract.upcasts": ("EarlierVersion",),
    "engine.worker": ("Worker",),
    "isolation.limits": ("ProcessLimits",),
}
HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    if name == "JOB_STATUS":  # the name of `JobStatus` in the TypeScript package
        return __getattr__("JobStatus")
    if name not in HOME_OF:
        raise AttributeError(f"module 'server_jobs' has no attribute {name!r}")
    value: object = getattr(import_module(f".{HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "JOB_STATUS",
    "Backend",
    "BackfilledSlot",
    "Backoff",
    "Batch",
    "BatchCounts",
    "BatchNotFoundError",
    "Cancel",
    "Cancellation",
    "ConcurrencyLimit",
    "DatabaseBusyError",
    "DatabaseError",
    "DatabaseUnreachableError",
    "Databases",
    "DependencyError",
    "DoNotRetryError",
    "DuplicateJobError",
    "DuplicateRegistrationError",
    "EarlierVersion",
    "Enqueue",
    "Handler",
    "HandlerMissingError",
    "HandlerNotImplementedError",
    "IndexedColumn",
    "InvalidDocumentError",
    "InvalidOptionError",
    "InvalidParamsError",
    "InvalidResultError",
    "Job",
    "JobContext",
    "JobCount",
    "JobFailedError",
    "JobFilter",
    "JobHandle",
    "JobLogFilter",
    "JobMetadata",
    "JobNotBoundError",
    "JobNotFoundError",
    "JobNotOfferedError",
    "JobNotRepairableError",
    "JobNotRetryableError",
    "JobOptions",
    "JobProgress",
    "JobQuery",
    "JobRecord",
    "JobRegistry",
    "JobResult",
    "JobRetiredError",
    "JobSchemas",
    "JobStatus",
    "JobSummary",
    "JobUnavailableError",
    "Middleware",
    "Misfire",
    "NamedBackend",
    "OnConflict",
    "OptionalParamsJob",
    "Outcome",
    "PrivilegeMissingError",
    "Problem",
    "ProcessLimits",
    "ProjectError",
    "RateLimit",
    "RealDatabaseError",
    "ResourceNotFoundError",
    "Retention",
    "RetiredJob",
    "RetryAfterError",
    "RetryPolicy",
    "RunningAttempt",
    "Schedule",
    "ScheduleConflictError",
    "ScheduleError",
    "ScheduleHandle",
    "ScheduleNotFoundError",
    "SchemaMissingError",
    "ServerJobsError",
    "SetupError",
    "SlotOutcome",
    "SlotParams",
    "Snooze",
    "StaleClaimError",
    "Tick",
    "UnknownJobError",
    "UpcastError",
    "UpcastNotImplementedError",
    "ValueTooLargeError",
    "Worker",
    "__version__",
    "connect",
    "connect_databases",
    "create_job_context",
    "create_job_registry",
    "define_job",
    "set_database",
    "tick",
]
