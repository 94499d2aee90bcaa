"""Whether a project had a lock before, though neither it nor the manifest is there: a folder is deleted in a moment.

Git is asked without being run: its index names every file that it keeps. The cache knows of earlier runs here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from server_jobs.project import Project

from ...files.cache_folder import CACHE, cache_folder, make_cache_folder, read_cached, write_cached
from ...files.manifest import manifest_path
from .lock_file import lock_path

_FILE = "locked"
_LENGTH_BITS = 0xFFF
_EXTENSION = 2
_STAGE_SHIFT, _STAGE_BITS = 12, 3


def had_lock(project: Project) -> bool:
    """Whether git or the cache knows of a lock, so that to begin with none would forget what was released."""
    return is_kept_by_git(project) or was_here(project)


def lock_is_gone(project: Project) -> str:
    """What to tell of a lock that is gone: the commands that take it back, or that let the project begin anew."""
    lock = lock_path(project)
    left = [path for path in (manifest_path(project), CACHE) if os.path.lexists(project.root / path)]
    back, forget = "take it back from version control", f"delete {' and '.join(left)} as well" if left else ""
    if is_kept_by_git(project):
        back = f"run `git checkout -- {' '.join(_lost(project))}`"
        forget = ", ".join(filter(None, (f"run `git rm --cached {lock}`", forget)))
    return (
        f"{lock} is gone, and nothing else knows the contracts of jobs that may be queued; {back}; "
        f"or, if nothing was ever queued, {forget}"
    )


def _lost(project: Project) -> list[str]:
    """What nothing could make anew, as far as it is not there; or all, with what is the user's, if nothing is."""
    if not (project.root / project.output).is_dir():
        return [project.output]
    folders = [f"{project.output}/migrations", f"{project.output}/worker/migrations"]
    paths = [lock_path(project), manifest_path(project), *folders]
    return [path for path in paths if not os.path.lexists(project.root / path)]


def is_kept_by_git(project: Project) -> bool:
    """Whether git keeps a lock there. Where its index is compressed or in parts this is not told, and counts as no."""
    with suppress(OSError, ValueError):
        for folder in (project.root, *project.root.parents):
            if (folder / ".git").exists():
                path = (project.root / lock_path(project)).relative_to(folder).as_posix()
                return any(True for _ in _stages(_index(folder / ".git"), path.encode()))
    return False


def is_unmerged(project: Project) -> bool:
    """Whether git has an unsolved conflict in the lock. False where that is not told."""
    with suppress(OSError, ValueError):
        for folder in (project.root, *project.root.parents):
            if (folder / ".git").exists():
                path = (project.root / lock_path(project)).relative_to(folder).as_posix()
                return any(stage > 0 for stage in _stages(_index(folder / ".git"), path.encode()))
    return False


def was_here(project: Project) -> bool:
    """Whether an earlier run in this folder saw or wrote a lock there, as far as the cache was not deleted since."""
    with suppress(OSError):
        return read_cached(cache_folder(project) / _FILE) == _mark(project)
    return False


def remember_lock(project: Project) -> None:
    """Note that there is a lock. A folder that cannot be written only costs the knowledge."""
    with suppress(OSError):
        if not was_here(project):
            make_cache_folder(project)
            write_cached(cache_folder(project) / _FILE, _mark(project))


def _mark(project: Project) -> bytes:
    """A cache that was copied or committed has another number, and says nothing of this folder."""
    found = cache_folder(project).stat()
    return f"{lock_path(project)} {found.st_dev} {found.st_ino}".encode()


def _index(git: Path) -> bytes:
    """The index of the repository, or of the work tree whose `.git` is a file that says where it is."""
    if git.is_file():
        git = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    index = git / "index"
    return index.read_bytes() if index.is_file() else b""


def _stages(index: bytes, path: bytes) -> Iterator[int]:
    """Yield the stage of each entry of that path, 0 unless there is a conflict.

    Before the path stand the stage and the length of the path, in the low bits of two bytes. The entries of newer
    formats have two bytes more in between.
    """
    at = index.find(path + b"\0")
    while at >= 0:
        for before in (at, at - _EXTENSION):
            flags = int.from_bytes(index[before - 2 : before])
            if flags & _LENGTH_BITS == min(len(path), _LENGTH_BITS):
                yield flags >> _STAGE_SHIFT & _STAGE_BITS
                break
        at = index.find(path + b"\0", at + 1)
