"""The contracts that were released, also while branches are being merged: no branch's contracts are forgotten."""

from __future__ import annotations

import os
from collections.abc import Mapping

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..contracts.lock.earlier_lock import had_lock, is_unmerged, lock_is_gone, remember_lock
from ..contracts.lock.lock_file import Lock, lock_path, read_lock
from ..contracts.lock.lock_merge import merge_locks
from ..files.conflict_marks import conflict_line
from ..files.generated_file import read_file
from ..files.manifest import Manifest
from ..migrations.history import heads, read_history


def read_released(project: Project, manifest: Manifest, settled: Mapping[str, str]) -> Lock:
    """Return the lock. `settled` are hashes of entries that need not be read, by the names of their jobs.

    Nothing could make it anew: today's specs do not know what was queued before them. Raises `ProjectError` for a lock
    that is gone or cannot be read.
    """
    path = lock_path(project)
    content = read_file(project.root / path) if os.path.lexists(project.root / path) else None
    if content is not None:
        remember_lock(project)
        return _read(project, manifest, content, settled)
    if manifest.hashes or had_lock(project):
        raise ProjectError(lock_is_gone(project))
    return Lock()


def _read(project: Project, manifest: Manifest, content: bytes, settled: Mapping[str, str]) -> Lock:
    """The lock as it is, or that of both branches where git merges them, or where no run has followed a merge."""
    # Rarely needed: these run git.
    from ..contracts.lock.lock_sides import lock_of_parents, merged_lock

    if conflict_line(content) is not None or is_unmerged(project):
        lock = merged_lock(project, content)
        if lock is not None:
            return lock
    try:
        if not manifest.is_merged and len(heads(read_history(project))) < 2:
            return read_lock(project, settled)
        # A person may have taken the lock of one branch.
        lock, parents = read_lock(project), lock_of_parents(project)
        return lock if parents is None else merge_locks(Lock(), parents, lock)
    except ProjectError:
        lock = lock_of_parents(project)
        if lock is None:
            raise
        return lock
