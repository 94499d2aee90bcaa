"""Poll files a few times a second, and report changes once they are complete."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PAUSE = 0.4
"""Seconds between two polls."""

_SETTLED = 0.05
_MOST_NAMED = 3

Paths = tuple[str, ...]
Identity = tuple[int, int, int]
Look = Mapping[str, Identity]
"""Identity, size and modification time of each file by path."""


def changes(look: Callable[[], Look], seen: Look, sleep: Callable[[float], None] = time.sleep) -> Iterator[Paths]:
    """Yield the paths that changed since `seen`, whenever some changed; never ends.

    Editors write a file in several steps, so a change counts once two polls in a row agree. Changes that happen while
    the caller works are reported next.
    """
    while True:
        sleep(PAUSE)
        now = look()
        if now == seen:
            continue
        while True:
            sleep(_SETTLED)
            before, now = now, look()
            if now == before:
                break
        yield tuple(sorted(path for path in seen.keys() | now.keys() if seen.get(path) != now.get(path)))
        seen = now


def named(paths: Sequence[str]) -> str:
    """Return the first few paths in words."""
    more = len(paths) - _MOST_NAMED
    shown = ", ".join(paths[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def files_below(
    folder: str | Path, prefix: str, is_left_out: Callable[[os.DirEntry[str]], bool]
) -> Iterator[tuple[str, Identity]]:
    """Yield the files below a folder, with paths that start with the prefix. Files that cannot be read are left out."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            # The file may be deleted between listing and stat.
            with suppress(OSError):
                if is_left_out(entry):
                    continue
                path, status = f"{prefix}{entry.name}", entry.stat()
                if stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                    yield from files_below(entry.path, f"{path}/", is_left_out)
                else:
                    yield path, identity(status)


def identity(status: os.stat_result) -> Identity:
    """Return what changes with the content of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns
