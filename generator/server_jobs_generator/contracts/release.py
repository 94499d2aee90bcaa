"""What the lock will hold once the specs as they are now have been released."""

from __future__ import annotations

from collections.abc import Sequence

from ..spec import JobSpec
from .contract import Contract, Status, contract_of
from .lock import Lock, LockedJob


def release(lock: Lock, jobs: Sequence[JobSpec]) -> Lock:
    """The lock with the contract of each job: a new revision where its schemas are none that are locked already."""
    return Lock({job.class_name: _released(lock.jobs.get(job.class_name), job) for job in jobs})


def _released(locked: LockedJob | None, job: JobSpec) -> LockedJob:
    versions = {} if locked is None else dict(locked.versions)
    version = job.options.version
    versions[version] = _with(versions.get(version, ()), contract_of(job))
    return LockedJob(
        spec_name=job.spec_name, status=Status.RETIRED if job.options.retired else Status.ACTIVE, versions=versions
    )


def _with(revisions: tuple[Contract, ...], contract: Contract) -> tuple[Contract, ...]:
    """Of equal schemas only one revision is kept: options mean nothing to rows that are there already."""
    others = tuple(revision for revision in revisions if not revision.has_schemas_of(contract))
    if len(others) < len(revisions):
        return tuple(contract if revision.has_schemas_of(contract) else revision for revision in revisions)
    return (*revisions, contract)
