"""Convert rows of attempts, workers and the audit log to records."""

from __future__ import annotations

from pydantic_core import from_json

from ...domain.audit import AuditAction
from ...domain.history import AttemptRecord, WorkerRecord
from ...domain.interfaces import Row
from ...domain.record import Outcome
from ...domain.record.audit import AuditRecord
from ...domain.record.reports import WorkerReport
from .parameters import EPOCH
from .rows import integer_of, text_of, text_or_none, time_of

_OUTCOMES: dict[object, Outcome] = {outcome.value: outcome for outcome in Outcome}


def attempt_of(row: Row) -> AttemptRecord:
    """Return the attempt of a row."""
    return AttemptRecord(
        job_id=text_of(row["job_id"]),
        attempt=integer_of(row["attempt"]),
        outcome=_OUTCOMES.get(row["outcome"], Outcome.FAILED),
        error=text_or_none(row["error"]),
        error_class=text_or_none(row["error_class"]),
        traceback=text_or_none(row["traceback"]),
        worker_id=text_or_none(row["worker_id"]),
        started_at=time_of(row["started_at"]) or EPOCH,
        ended_at=time_of(row["ended_at"]) or EPOCH,
    )


def worker_of(row: Row) -> WorkerRecord:
    """Return the worker of a row."""
    pid, queues, known = row["pid"], row["queues"], from_json(text_of(row["known"]))
    return WorkerRecord(
        report=WorkerReport(
            id=text_of(row["id"]),
            host=text_of(row["host"]),
            pid=None if pid is None else integer_of(pid),
            queues=None if queues is None else tuple(from_json(text_of(queues))),
            concurrency=integer_of(row["concurrency"]),
            version=text_of(row["version"]),
            known=tuple((name, version) for name, version in known),
        ),
        started_at=time_of(row["started_at"]) or EPOCH,
        last_seen_at=time_of(row["last_seen_at"]) or EPOCH,
        is_alive=bool(row["is_alive"]),
        running=integer_of(row["running"]),
    )


def audit_of(row: Row) -> AuditRecord:
    """Return the audit entry of a row."""
    return AuditRecord(
        id=text_of(row["id"]),
        at=time_of(row["at"]) or EPOCH,
        actor=text_of(row["actor"]),
        action=AuditAction(text_of(row["action"])),
        target=text_of(row["target"]),
        job_name=text_or_none(row["job_name"]),
        detail=text_or_none(row["detail"]),
    )
