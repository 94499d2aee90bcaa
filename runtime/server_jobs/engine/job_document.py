"""A stored job as a JSON value, without what is not for everybody's eyes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from ..contract.documents import redacted
from ..domain.record import JobRecord, JobSummary
from ..registry import JobRegistry


@dataclass(frozen=True, slots=True)
class ShownParams:
    """The params of a stored job as JSON text; None when they are hidden, and `reason` says why."""

    text: str | None
    reason: str | None = None


def shown_params(record: JobRecord, registry: JobRegistry) -> ShownParams:
    """The params with the values below the job's `redact` pointers hidden.

    All of them are hidden where nothing says what to redact, because the job is not registered here, or redacts
    something and the row is of another version.
    """
    job = registry.get(record.job_name)
    if job is None:
        return ShownParams(None, f"{record.job_name} is not registered here, so nothing says what of them is secret")
    if job.options.redact and record.spec_version != job.options.version:
        return ShownParams(None, f"the spec says what is secret in version {job.options.version}, and not in theirs")
    try:
        return ShownParams(redacted(record.params, job.options.redact))
    except (ValueError, RecursionError):
        return ShownParams(None, "they are not JSON")


def job_document(record: JobRecord) -> dict[str, object]:
    """Everything about a job but its params; times are in UTC, the result is a JSON value."""
    return {
        **job_summary(record.summary),
        "spec_version": record.spec_version,
        "progress_message": record.progress_message,
        "result": parsed(record.result),
        "error": record.error,
        "worker_started_at": _text(record.worker_started_at),
        "worker_expires_at": _text(record.worker_expires_at),
        "correlation_id": record.correlation_id,
        "unique_key": record.unique_key,
        "cancel_requested": record.cancel_requested,
    }


def job_summary(summary: JobSummary) -> dict[str, object]:
    """Where a job is, and nothing of what it was given, returned or raised."""
    return {
        "id": summary.id,
        "job_name": summary.job_name,
        "status": summary.status,
        "parked": summary.is_parked,
        "queue": summary.queue,
        "priority": summary.priority,
        "progress": summary.progress,
        "attempt_count": summary.attempt_count,
        "max_attempts": summary.max_attempts,
        "created_at": _text(summary.created_at),
        "updated_at": _text(summary.updated_at),
        "scheduled_for": _text(summary.scheduled_for),
        "completed_at": _text(summary.completed_at),
    }


def parsed(text: str | None) -> object:
    """The value of JSON text; text that is not JSON as it is, for a row may hold anything."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
