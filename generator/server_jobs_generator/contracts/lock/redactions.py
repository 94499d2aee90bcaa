"""What of the params of a job is not shown, also of rows from before its spec changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...ir.spec import JobSpec
from ..compare.canonical import canonical_schema
from ..compare.node import Node
from ..compare.reach import leads_somewhere
from .lock_file import Lock


def lasting_redactions(job: JobSpec, before: Sequence[str]) -> tuple[str, ...]:
    """The pointers that a spec redacts, and those of `before` that lead nowhere in its params any more.

    Rows that are stored still have values there.
    """
    revealed = revealed_since(job, before)
    return (*job.options.redact, *(pointer for pointer in _uncovered(job, before) if pointer not in revealed))


def revealed_since(job: JobSpec, before: Sequence[str]) -> tuple[str, ...]:
    """The pointers of `before` that still lead to something, and that the spec does not redact."""
    uncovered = _uncovered(job, before)
    params = Node.top(canonical_schema(job.params)) if uncovered else None
    return tuple(pointer for pointer in uncovered if params and leads_somewhere(params, pointer))


def with_lasting_redactions(job: JobSpec, lock: Lock) -> JobSpec:
    """The job as it is generated: the very same object unless something of before is to be redacted as well."""
    locked = lock.jobs.get(job.class_name)
    redact = lasting_redactions(job, locked.redact if locked else ())
    return job if redact == job.options.redact else replace(job, options=replace(job.options, redact=redact))


def is_covered(pointer: str, redacted: Iterable[str]) -> bool:
    """Whether what is at a pointer is hidden where these are redacted: it is one of them, or below one."""
    return any(f"{pointer}/".startswith(f"{one}/") for one in redacted)


def _uncovered(job: JobSpec, before: Sequence[str]) -> list[str]:
    return [pointer for pointer in before if not is_covered(pointer, job.options.redact)]
