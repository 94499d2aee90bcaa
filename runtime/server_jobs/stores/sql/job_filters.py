"""The parameters of a filter. `matches` in the `.sql` files is its condition."""

from __future__ import annotations

from collections.abc import Mapping

from ...domain.interfaces import Value
from ...domain.record import EVERY_JOB, JobFilter
from .rows import json_of, milliseconds

_TEXTS = ("job_name", "error_class", "correlation_id", "worker_id")


def filter_parameters(wanted: JobFilter) -> dict[str, Value]:
    """Return the parameters of the condition."""
    older_than, newer_than = wanted.older_than, wanted.newer_than
    return {
        "statuses": None if wanted.statuses is None else json_of(wanted.statuses),
        "queues": None if wanted.queues is None else json_of(wanted.queues),
        **{name: getattr(wanted, name) for name in _TEXTS},
        "batch_id": wanted.batch_id,
        "spec_version": wanted.spec_version,
        "older_than": None if older_than is None else milliseconds(older_than),
        "newer_than": None if newer_than is None else milliseconds(newer_than),
        "parked": int(wanted.parked),
    }


NO_FILTER: Mapping[str, Value] = filter_parameters(EVERY_JOB)
