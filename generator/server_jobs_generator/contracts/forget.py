"""Versions that no row is of any more leave the lock, and what was generated for them goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server_jobs.errors import InvalidOptionError

from ..problems import listed, nearest
from .lock import Lock


def forget(lock: Lock, versions: Sequence[tuple[str, int]]) -> Lock:
    """The lock without these earlier versions. Raises `InvalidOptionError` for one that is not in it, or the newest."""
    if not versions:
        return lock
    jobs = dict(lock.jobs)
    for name, version in versions:
        job = jobs.get(name)
        if job is None:
            raise InvalidOptionError(f"there is no job {name!r} in the lock{nearest(name, jobs)}")
        earlier = [each for each in job.versions if each != job.newest]
        if version not in earlier:
            known = f"it can forget {listed(map(str, earlier))}" if earlier else "it has no earlier version"
            raise InvalidOptionError(f"version {version} of {name} cannot be forgotten: {known}")
        jobs[name] = replace(job, versions={each: job.versions[each] for each in job.versions if each != version})
    return Lock(jobs, lock.text)
