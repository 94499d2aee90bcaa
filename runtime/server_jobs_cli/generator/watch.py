"""`generate --watch`: looks at the specs a few times a second, and says when they have changed and come to rest."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from server_jobs_generator.read.spec_files import is_leftover

PAUSE = 0.4
"""Seconds between two looks."""

_SETTLED = 0.05
_MOST_NAMED = 3

Paths = tuple[str, ...]
Look = Mapping[str, tuple[int, int, int]]
"""For each file by its path: which one it is, how large, and when it was written."""


def changes(root: Path, specs: str, seen: Look, sleep: Callable[[float], None] = time.sleep) -> Iterator[Paths]:
    """The paths that are not as they were `seen`, each time some are not; never ends.

    An editor writes a file in several steps: a change is told when two looks in a row agree. What changes while the
    caller is busy with one is the next.
    """
    while True:
        sleep(PAUSE)
        now = look(root, specs)
        if now == seen:
            continue
        while True:
            sleep(_SETTLED)
            before, now = now, look(root, specs)
            if now == before:
                break
        yield tuple(sorted(path for path in seen.keys() | now.keys() if seen.get(path) != now.get(path)))
        seen = now


def look(root: Path, specs: str) -> Look:
    """What lies under `specs/` now, and the project's own settings; what cannot be looked at is not there."""
    found: dict[str, tuple[int, int, int]] = {}
    with suppress(OSError):
        found["pyproject.toml"] = _identity((root / "pyproject.toml").stat())
    _look_into(root / specs, specs, found)
    return found


def named(paths: Sequence[str]) -> str:
    """The first few of the paths."""
    more = len(paths) - _MOST_NAMED
    shown = ", ".join(paths[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def _look_into(folder: str | Path, prefix: str, found: dict[str, tuple[int, int, int]]) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover(entry.name):
                continue
            # A file may go away between its name and the question what it is.
            with suppress(OSError):
                path, status = f"{prefix}/{entry.name}", entry.stat()
                if stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                    _look_into(entry.path, path, found)
                else:
                    found[path] = _identity(status)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
