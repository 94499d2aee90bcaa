"""Attempts, workers and reasons as JSON values. Times are in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..domain.history import AttemptRecord, WorkerRecord
from ..domain.record import JobRecord
from .why import Reason


def attempt_document(attempt: AttemptRecord) -> dict[str, object]:
    """Return an attempt that did not complete. Its job is known from the context."""
    return {
        "attempt": attempt.attempt,
        "outcome": attempt.outcome,
        "error": attempt.error,
        "error_class": attempt.error_class,
        "traceback": attempt.traceback,
        "worker_id": attempt.worker_id,
        "started_at": _text(attempt.started_at),
        "ended_at": _text(attempt.ended_at),
    }


def worker_document(worker: WorkerRecord) -> dict[str, object]:
    """Return a worker. `queues` is null for a worker of every queue."""
    report = worker.report
    return {
        "id": report.id,
        "host": report.host,
        "pid": report.pid,
        "alive": worker.is_alive,
        "running": worker.running,
        "concurrency": report.concurrency,
        "queues": None if report.queues is None else list(report.queues),
        "version": report.version,
        "known_jobs": [{"job_name": name, "spec_version": version} for name, version in report.known],
        "started_at": _text(worker.started_at),
        "last_seen_at": _text(worker.last_seen_at),
    }


def reason_document(reason: Reason) -> dict[str, object]:
    """Return a reason why a job waits, runs or has ended."""
    return {
        "cause": reason.cause,
        "text": reason.text,
        "advice": reason.advice,
        "jobs": list(reason.jobs),
        "since": _text(reason.since),
        "until": _text(reason.until),
    }


def why_document(record: JobRecord, reasons: Sequence[Reason]) -> dict[str, object]:
    """Return why a job waits, runs or has ended."""
    known = {"id": record.id, "job_name": record.job_name, "status": record.status}
    return {**known, "reasons": [reason_document(reason) for reason in reasons]}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
