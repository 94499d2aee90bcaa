"""The ends of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from .claim import Report
from .job import JobStatus

LEASE_EXPIRED = "LeaseExpired"
"""The `error_class` of an attempt whose lease expired."""
MOST_LATE = 1000
"""Jobs that one step of `cancel_late` cancels."""


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
    """A job whose lease expired, its new status, and the queue of its row."""

    id: str
    job_name: str
    status: JobStatus
    queue: str = "default"


class LateJob(NamedTuple):
    """A pending job that was cancelled because it expired: the time in which an attempt may start had passed."""

    id: str
    job_name: str
