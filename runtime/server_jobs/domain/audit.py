"""The audit log: each manual change of a job, a queue or a schedule, with its author and time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum

_logger = logging.getLogger("server_jobs.audit")

AUDIT_RETENTION = timedelta(days=365)
"""Age at which entries expire. Each new entry deletes expired ones, and so does `server-jobs prune`."""

APPLICATION = "application"
"""The actor of a change through the Python API that names no actor."""

enqueuer: ContextVar[str] = ContextVar("enqueuer", default=APPLICATION)
"""The actor of the current call that enqueues. An entry names everybody but the application who replaces a job."""

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
