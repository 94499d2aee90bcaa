"""Stored jobs as JSON values, with redacted values hidden."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..contract.documents import redacted
from ..domain.record import JobPreview, JobRecord, JobSummary
from ..registry import JobRegistry

if TYPE_CHECKING:
    from ..domain.statistics import BatchCounts


@dataclass(frozen=True, slots=True)
class ShownParams:
    """Params of a stored job as JSON text. If they are hidden, the text is None and `reason` says why."""

    text: str | None
    reason: str | None = None


def shown_params(record: JobRecord | JobPreview, registry: JobRegistry) -> ShownParams:
    """Return the params, with the values at the job's `redact` pointers hidden.

    Hide all params if the pointers do not apply: the job is not registered here, or the row has another version of a
    job that redacts something.
    """
    if record.params is None:
        return ShownParams(None, "they are too long for a list")
    job = registry.get(record.job_name)
    if job is None:
        return ShownParams(None, f"{record.job_name} is not registered here, so nothing says what of them is secret")
    if job.options.redact and record.spec_version != job.options.version:
        return ShownParams(None, f"the spec says what is secret in version {job.options.version}, and not in theirs")
    try:
        return ShownParams(redacted(record.params, job.options.redact))
    except (ValueError, RecursionError):
        return ShownParams(None, "they are not JSON")


def shown_job(record: JobRecord, registry: JobRegistry) -> dict[str, object]:
    """Return all fields of a job, with redacted values of its params hidden."""
    params = shown_params(record, registry)
    return {**job_document(record), "params": parsed(params.text), "params_hidden": params.reason}


def job_document(record: JobRecord) -> dict[str, object]:
    """Return all fields of a job except its params. Times are in UTC, the result is a JSON value."""
    return {
        **job_summary(record.summary),
        "spec_version": record.spec_version,
        "progress_message": record.progress_message,
        "result": parsed(record.result),
        "error": record.error,
        "error_class": record.error_class,
        "start_before": _text(record.start_before),
        "worker_id": record.worker_id,
        "worker_started_at": _text(record.worker_started_at),
        "worker_expires_at": _text(record.worker_expires_at),
        "correlation_id": record.correlation_id,
        "batch_id": record.batch_id,
        "unique_key": record.unique_key,
        "cancel_requested": record.cancel_requested,
        "replaced_by": record.replaced_by,
    }


def job_summary(summary: JobSummary) -> dict[str, object]:
    """Return the status fields of a job, without params, result and error."""
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


def batch_document(batch_id: str, counts: BatchCounts) -> dict[str, object]:
    """Return the counts of a batch."""
    return {"id": batch_id, **asdict(counts), "total": counts.total, "percent": counts.percent}


def parsed(text: str | None) -> object:
    """Return the value of JSON text. Return other text as text, because a row may hold anything.

    Python reads NaN, infinity and halves of characters, which JSON and UTF-8 cannot express.
    """
    if text is None:
        return None
    try:
        value: object = json.loads(text, parse_float=_finite, parse_constant=_finite)
        if "\\u" in text or not text.isascii():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text.encode(errors="replace").decode()
    return value


def _finite(text: str) -> float:
    """Return the number. Raises `ValueError` for NaN and infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
