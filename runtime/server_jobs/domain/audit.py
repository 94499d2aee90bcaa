"""The audit log: each manual change of a job, a queue or a schedule, with its author and time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ..errors import InvalidOptionError
from .text_limits import check_text

_logger = logging.getLogger("server_jobs.audit")

AUDIT_RETENTION = timedelta(days=365)
"""Age at which entries expire. Each new entry deletes expired ones, and so does `server-jobs prune`."""

APPLICATION = "application"
"""The actor of a change through the Python API that names no actor."""

enqueuer: ContextVar[str] = ContextVar("enqueuer", default=APPLICATION)
"""The actor of the current call that enqueues. An entry names everybody but the application who replaces a job."""

LONGEST_AUDIT_PAGE = 1000
_FEW = 20


class AuditAction(StrEnum):
    """A manual change."""

    CANCEL = "cancel"
    RETRY = "retry"
    REPAIR = "repair"
    DELETE = "delete"
    PAUSE = "pause"
    RESUME = "resume"
    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One entry. `actor` is `token:NAME` or `user:NAME`.

    `target` is the id of a job, the name of a queue, or `JOB/NAME` of a schedule.
    """

    id: str
    at: datetime
    actor: str
    action: AuditAction
    target: str
    job_name: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """A page of entries, newest first. `before` is the last id of the page before.

    Raises `InvalidOptionError` unless `limit` is 1 to 1000, and for texts that no entry can have.
    """

    actor: str | None = None
    target: str | None = None
    action: AuditAction | None = None
    before: str | None = None
    limit: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LONGEST_AUDIT_PAGE:
            raise InvalidOptionError(f"limit must be between 1 and {LONGEST_AUDIT_PAGE}, not {self.limit}")
        for name in ("actor", "target", "before"):
            text: str | None = getattr(self, name)
            if text is not None:
                check_text(name, text)


@contextmanager
def enqueuing_as(actor: str) -> Iterator[None]:
    """Enqueue for this actor while the block runs."""
    before = enqueuer.set(actor)
    try:
        yield
    finally:
        enqueuer.reset(before)


def log_entry(action: AuditAction, actor: str, target: str, detail: str | None = None) -> None:
    """Write the log line of an entry."""
    more = "" if detail is None else f" ({detail})"
    _logger.info("audit: %s by %s: %s%s", action, actor, target, more)


def log_entries(action: AuditAction, actor: str, targets: Sequence[str], detail: str | None = None) -> None:
    """Write the log lines of entries: a line for each of a few jobs, or one line for many."""
    if len(targets) <= _FEW:
        for target in targets:
            log_entry(action, actor, target, detail)
    else:
        log_entry(action, actor, f"{len(targets)} jobs from {min(targets)} to {max(targets)}", detail)
