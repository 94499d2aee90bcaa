"""Stored jobs as JSON values, with redacted values hidden."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..contract.documents import redacted
from ..domain.record import JOB_COLUMNS, JobPreview, JobRecord, JobSummary, Shown
from ..registry import JobRegistry

if TYPE_CHECKING:
    from ..domain.statistics import BatchCounts


class DocumentField(NamedTuple):
    """A field of a job's document. OpenAPI and the types of TypeScript follow from it."""

    name: str
    type: str
    """The type of its column, or `json` for any JSON value."""
    is_nullable: bool
    about: str


_OWN_FIELDS = {
    "params": (
        DocumentField("params", "json", is_nullable=False, about="The params, with redacted values hidden."),
        DocumentField("params_hidden", "str", is_nullable=True, about="The reason why params are hidden, or null."),
    ),
    "result": (DocumentField("result", "json", is_nullable=True, about="The result, or null."),),
    "status": (
        DocumentField("status", "JobStatus", is_nullable=False, about=JOB_COLUMNS["status"].about),
        DocumentField(
            "parked", "bool", is_nullable=False, about="Whether the job failed because its params cannot be read."
        ),
    ),
}
"""The fields of columns whose documents differ from the row."""


def _fields(shown: Shown) -> Iterator[DocumentField]:
    for name, one in JOB_COLUMNS.items():
        if one.shown is shown:
            about = one.about.replace("NULL", "null")
            yield from _OWN_FIELDS.get(name, (DocumentField(name, one.type, one.is_nullable, about),))


SUMMARY_FIELDS: Sequence[DocumentField] = tuple(_fields(Shown.EVERYWHERE))
"""The fields of `job_summary`."""
DETAIL_FIELDS: Sequence[DocumentField] = tuple(_fields(Shown.DETAILS))
"""The other fields of `shown_job`."""


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
    shown = (one.name for one in DETAIL_FIELDS if one.name not in ("params", "params_hidden"))
    return {**job_summary(record.summary), **{name: _value(record, name) for name in shown}}


def job_summary(summary: JobSummary) -> dict[str, object]:
    """Return the status fields of a job, without params, result and error."""
    return {one.name: _value(summary, one.name) for one in SUMMARY_FIELDS}


def _value(job: JobRecord | JobSummary, name: str) -> object:
    value: object = getattr(job, "is_parked" if name == "parked" else name)
    if isinstance(value, datetime):
        return value.isoformat()
    return parsed(job.result) if name == "result" and isinstance(job, JobRecord) else value


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
