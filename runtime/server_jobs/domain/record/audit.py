"""Entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ...errors import InvalidOptionError
from ..audit import AuditAction
from ..text_limits import check_text

LONGEST_AUDIT_PAGE = 1000


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
