"""Changes by hand, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .job import JobRecord


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


@dataclass(frozen=True, slots=True)
class PausedQueue:
    """A paused queue, and the time of the pause."""

    name: str
    paused_at: datetime
