"""`generate --watch`: poll the specs a few times a second, and report changes once they are complete."""

from __future__ import annotations

import os
import stat
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NoReturn

import click
from server_jobs.errors import ServerJobsError
from server_jobs.project import Project
from server_jobs_generator.read.library import is_leftover

from ..console.failures import report
from ..console.output import note, say

PAUSE = 0.4
"""Seconds between two polls."""

_SETTLED = 0.05
_MOST_NAMED = 3

Paths = tuple[str, ...]
Look = Mapping[str, tuple[int, int, int]]
"""Identity, size and modification time of each file by path."""


def generate_on_change(ctx: click.Context, project: Project, once: Callable[[], None]) -> NoReturn:
    """Generate now and after each change. Report any error and wait for the next change."""
    # Look before the first run, so that a file saved during the run counts as a change.
    changed = changes(project.root, project.specs, look(project.root, project.specs))
    reasons = chain([f"watching {project.specs}/, Ctrl-C ends it"], (f"{named(paths)} changed" for paths in changed))
    for reason in reasons:
        say(f"[{time.strftime('%H:%M:%S')}] {reason}")
        with suppress(SystemExit):
            try:
                once()
            except ServerJobsError as error:
                report(ctx, error)
            except BrokenPipeError:
                raise
            except Exception:  # noqa: BLE001  # a bug must not end the watch: the next change may avoid it
                _report_bug()
    raise AssertionError("`changes` never ends")


def _report_bug() -> None:
    for line in traceback.format_exc().splitlines():
        note(line)
    note("Error: this is a bug in server-jobs; please report the lines above. Waiting for the next change.")


def changes(root: Path, specs: str, seen: Look, sleep: Callable[[float], None] = time.sleep) -> Iterator[Paths]:
    """Yield the paths that changed since `seen`, whenever some changed; never ends.

    Editors write a file in several steps, so a change counts once two polls in a row agree. Changes that happen while
    the caller works are reported next.
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
    """Return the files under `specs/` and the project's settings. Files that cannot be read are left out."""
    found: dict[str, tuple[int, int, int]] = {}
    with suppress(OSError):
        found["pyproject.toml"] = _identity((root / "pyproject.toml").stat())
    _look_into(root / specs, specs, found)
    return found


def named(paths: Sequence[str]) -> str:
    """Return the first few paths in words."""
    more = len(paths) - _MOST_NAMED
    shown = ", ".join(paths[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def _look_into(folder: str | Path, prefix: str, found: dict[str, tuple[int, int, int]]) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover(entry.name):
                continue
            # The file may be deleted between listing and stat.
            with suppress(OSError):
                path, status = f"{prefix}/{entry.name}", entry.stat()
                if stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                    _look_into(entry.path, path, found)
                else:
                    found[path] = _identity(status)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
