"""What the lock will hold once the specs as they are now have been released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.spec import JobSpec
from ..contract import Contract, Status, contracts_of
from .lock_file import Lock, LockedJob
from .redactions import lasting_redactions


def release(lock: Lock, jobs: Sequence[JobSpec], promised: Mapping[str, Contract] | None = None) -> Lock:
    """The lock with the contract of each job: a new revision where its schemas are none that are locked already.

    `jobs` are all but those that are settled, and `promised` the contracts of these jobs, if they are known already.
    """
    now = promised or contracts_of(jobs)
    released = {job.class_name: _released(lock.jobs.get(job.class_name), job, now[job.class_name]) for job in jobs}
    is_same = released.keys() == lock.jobs.keys() and all(released[name] is lock.jobs[name] for name in released)
    return lock if is_same else Lock(released, settled=lock.settled)


def _released(locked: LockedJob | None, job: JobSpec, contract: Contract) -> LockedJob:
    """What is locked of a job from now on: the very same object if nothing about it is new."""
    version, status = job.options.version, Status.RETIRED if job.options.retired else Status.ACTIVE
    versions = {} if locked is None else dict(locked.versions)
    revisions = versions.get(version, ())
    redact = lasting_redactions(job, locked.redact if locked else ())
    is_known = any(revision.hash == contract.hash for revision in revisions[-1:])
    facts = (job.spec_name, status, redact)
    if locked is not None and is_known and (locked.spec_name, locked.status, locked.redact) == facts:
        return locked
    versions[version] = _with(revisions, contract)
    return LockedJob(spec_name=job.spec_name, status=status, versions=versions, redact=redact)


def _with(revisions: tuple[Contract, ...], contract: Contract) -> tuple[Contract, ...]:
    """The newest is the last, also where it is an old one again: what changes next, changes since then.

    Of equal schemas only one revision is kept: options mean nothing to rows that are there already.
    """
    return (*(revision for revision in revisions if not revision.has_schemas_of(contract)), contract)
