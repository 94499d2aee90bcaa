"""One run at a time writes the files of a project; another one waits for it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .cache_folder import make_cache_folder

_PAUSE = 0.05


@contextmanager
def one_at_a_time(project: Project, tell: Callable[[str], object], patience: float = 60) -> Iterator[None]:
    """Hold the lock of a project; the system lets go of it when the process ends, in whatever way.

    `tell` is given one line when there is somebody to wait for. Raises `ProjectError` when that takes longer than
    `patience`, in seconds. Where there can be no lock, as the folder cannot be written, there is none.
    """
    stream = _opened(project)
    if stream is None:
        yield
        return
    with stream:
        if not _take(stream):
            holder = _holder(stream)
            tell(f"waiting for process {holder}, which is generating here")
            _wait(stream, holder, patience)
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()).encode())
        stream.flush()
        yield


def _opened(project: Project) -> BinaryIO | None:
    with suppress(OSError):
        path = make_cache_folder(project) / "lock"
        if not path.is_symlink():
            return path.open("a+b")
    return None


def _wait(stream: BinaryIO, holder: str, patience: float) -> None:
    end = time.monotonic() + patience
    while not _take(stream):
        if time.monotonic() > end:
            raise ProjectError(
                f"process {holder} has been generating here for more than {patience:g} seconds; stop it, or wait for "
                "it, and try again: nothing was written"
            )
        time.sleep(_PAUSE)


def _holder(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read(20).decode("ascii", "replace") or "(unknown)"


def _take(stream: BinaryIO) -> bool:
    """Whether this process has the lock now."""
    try:
        _lock(stream.fileno())
    except OSError:
        return False
    return True


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # A byte that nobody reads, since a locked one cannot be.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
