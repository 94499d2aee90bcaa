"""A lock on a project: one run writes its files at a time, and others wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import BaseFileLock, FileLock, Timeout
from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .cache_folder import make_cache_folder


@contextmanager
def one_at_a_time(project: Project, tell: Callable[[str], object], patience: float = 60) -> Iterator[None]:
    """Lock a project. The operating system releases the lock when the process ends for any reason.

    Call `tell` with one line before waiting. Raises `ProjectError` after waiting for `patience` seconds. If the cache
    folder is read-only, run without a lock.
    """
    lock = _lock_of(project)
    if lock is None:
        yield
        return
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("waiting for another `server-jobs generate`, which is running here")
        _wait(lock, patience)
    try:
        yield
    finally:
        lock.release()


def _lock_of(project: Project) -> BaseFileLock | None:
    try:
        path = make_cache_folder(project) / "lock"
    except OSError:
        return None
    is_usable = not path.is_symlink() and (not path.exists() or os.access(path, os.W_OK))
    return FileLock(path) if is_usable else None


def _wait(lock: BaseFileLock, patience: float) -> None:
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise ProjectError(
            f"another `server-jobs generate` has been running here for more than {patience:g} seconds; stop it, or "
            "wait for it, and try again: nothing was written"
        ) from error
