"""Versions that no row is of any more leave the lock, and what was generated for them goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server_jobs.errors import InvalidOptionError

from ...problems.problem import listed
from .lock_file import Lock, LockedJob


def forget(lock: Lock, versions: Sequence[tuple[str, int]]) -> Lock:
    """The lock without these earlier versions, from the oldest up; a job goes by its name or that of its spec.

    Raises `InvalidOptionError` for a version that is not in it, the newest, and one that an older version leads to.
    """
    if not versions:
        return lock
    forgotten: dict[str, set[int]] = {}
    for given, version in versions:
        forgotten.setdefault(lock.name_of(given), set()).add(version)
    left = {name: _without(name, lock.jobs[name], each) for name, each in forgotten.items()}
    return Lock({**lock.jobs, **left}, lock.text)


def _without(name: str, job: LockedJob, forgotten: set[int]) -> LockedJob:
    earlier = [version for version in job.versions if version != job.newest]
    kept = job.versions.keys() - forgotten
    for version in sorted(forgotten):
        if version not in earlier:
            known = f"it can forget {listed(map(str, earlier))}" if earlier else "it has no earlier version"
            raise InvalidOptionError(f"version {version} of {name} cannot be forgotten: {known}")
        older = sorted(each for each in kept if each < version)
        if older:
            raise InvalidOptionError(_in_between(name, version, older))
    return replace(job, versions={version: job.versions[version] for version in sorted(kept)})


def _in_between(name: str, version: int, older: Sequence[int]) -> str:
    kept = f"version {older[0]} is" if len(older) == 1 else f"versions {' and '.join(map(str, older))} are"
    options = " ".join(f"--forget {name}:{each}" for each in (*older, version))
    return (
        f"version {version} of {name} cannot be forgotten while {kept} kept, whose rows become new through it; "
        f"forget the older first, or all in one run, once no row of them is left: {options}"
    )
