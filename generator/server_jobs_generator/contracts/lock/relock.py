"""What was released of a job leaves the lock: nothing of it was ever queued, or no row of it is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from server_jobs.errors import InvalidOptionError

from .lock_file import Lock, LockedJob


def relock(lock: Lock, given: Sequence[tuple[str, int | None]]) -> Lock:
    """The lock without these versions of jobs, from the newest down; None stands for the only one there is.

    A job goes by its name or that of its spec, and leaves the lock with its last version. Raises `InvalidOptionError`
    for what the lock has not, for None where it has several versions, and for a version older than one that is kept.
    """
    if not given:
        return lock
    dropped: dict[str, set[int | None]] = {}
    for name, version in given:
        dropped.setdefault(lock.name_of(name), set()).add(version)
    jobs = dict(lock.jobs)
    for name, versions in dropped.items():
        job = jobs.pop(name)
        kept = sorted(job.versions.keys() - _dropped(name, job, versions))
        if kept:
            jobs[name] = replace(job, versions={version: job.versions[version] for version in kept})
    return Lock(jobs, lock.text)


def relock_options(name: str, job: LockedJob, versions: Collection[int]) -> str:
    """The options of `generate` that drop these versions of a job."""
    only = len(job.versions) == 1
    return " ".join(f"--relock {name}" if only else f"--relock {name}:{version}" for version in sorted(versions))


def _dropped(name: str, job: LockedJob, given: Collection[int | None]) -> set[int]:
    if None in given and len(job.versions) > 1:
        raise InvalidOptionError(_several(name, job))
    dropped = {job.newest if version is None else version for version in given}
    kept = job.versions.keys() - dropped
    for version in sorted(dropped):
        if version not in job.versions:
            known = " and ".join(map(str, job.versions))
            raise InvalidOptionError(f"nothing was released of version {version} of {name}: the lock has {known}")
        if kept and version < max(kept):
            raise InvalidOptionError(
                f"version {version} of {name} stays in the lock as long as version {max(kept)} does; "
                f"--forget {name}:{version} is for earlier versions of which no row is left"
            )
    return dropped


def _several(name: str, job: LockedJob) -> str:
    return (
        f"the lock has versions {' and '.join(map(str, job.versions))} of {name}, and rows of each may be queued; "
        f"{relock_options(name, job, [job.newest])} drops only what was released of version {job.newest}, "
        f"{relock_options(name, job, job.versions)} drops everything"
    )
