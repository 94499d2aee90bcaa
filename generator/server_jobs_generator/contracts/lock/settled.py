"""Entries of the lock that the next run need not read, as long as neither they nor the specs of their jobs change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...ir.spec import JobSpec
from ..contract import Contract
from .lock_file import Lock
from .lock_text import entries_in, hash_of


def settled_entries(lock: Lock, text: str, jobs: Sequence[JobSpec], promised: Mapping[str, Contract]) -> dict[str, str]:
    """A hash of each entry that says nothing else than the spec of its job, by name.

    `text` is that of the lock, `jobs` are those that are not settled in it, and `promised` are their contracts. Nothing
    can be found about such a job, and the lock keeps its entry as it is.
    """
    names = [*lock.settled, *_names(lock, jobs, promised)]
    entries = entries_in(text)
    return {name: hash_of(entries[name]) for name in names if name in entries}


def _names(lock: Lock, jobs: Sequence[JobSpec], promised: Mapping[str, Contract]) -> Iterator[str]:
    for job in jobs:
        name = job.class_name
        locked = lock.jobs[name]
        is_redacted_alike = locked.redact == job.options.redact
        if locked.is_only(promised[name], job.options.version) and is_redacted_alike and not job.reserved:
            yield name
