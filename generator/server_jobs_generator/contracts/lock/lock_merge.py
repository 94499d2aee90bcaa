"""One lock of two: whatever either branch released is known afterwards.

A job, a version or a contract leaves the lock only if one branch dropped it and the other left it as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..contract import Contract
from .lock_file import Lock, LockedJob

T = TypeVar("T")


def merge_locks(base: Lock, ours: Lock, theirs: Lock) -> Lock:
    """Return what both branches released since `base`; an empty base keeps everything."""
    names = {**ours.jobs, **theirs.jobs}
    merged = {name: _job(*(lock.jobs.get(name) for lock in (base, ours, theirs))) for name in names}
    return Lock({name: job for name, job in merged.items() if job is not None})


def _job(base: LockedJob | None, ours: LockedJob | None, theirs: LockedJob | None) -> LockedJob | None:
    if ours is None or theirs is None:
        left = ours or theirs
        return None if left == base else left
    known = base or LockedJob(spec_name=ours.spec_name, status=ours.status, versions={})
    versions = {
        version: _contracts(*(job.versions.get(version, ()) for job in (known, ours, theirs)))
        for version in sorted({*ours.versions, *theirs.versions})
    }
    return LockedJob(
        spec_name=_changed(known.spec_name, ours.spec_name, theirs.spec_name),
        status=_changed(known.status, ours.status, theirs.status),
        versions={version: contracts for version, contracts in versions.items() if contracts},
        redact=_joined(known.redact, ours.redact, theirs.redact),
    )


def _contracts(base: Sequence[Contract], ours: Sequence[Contract], theirs: Sequence[Contract]) -> tuple[Contract, ...]:
    """The contracts of both, those of `ours` last; of equal schemas only one, as options mean nothing to rows."""
    keys = [[contract.schemas for contract in side] for side in (base, ours, theirs)]
    by_key: Mapping[str, Contract] = {contract.schemas: contract for contract in (*theirs, *ours)}
    return tuple(by_key[key] for key in _joined(*keys))


def _changed(base: T, ours: T, theirs: T) -> T:
    return theirs if ours == base else ours


def _joined(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    """What is in one of the two, without what one of them dropped: that of the base first, and that of `ours` last."""
    both = dict.fromkeys((*base, *theirs, *ours))
    return tuple(one for one in both if (one in ours and one in theirs) or one not in base)
