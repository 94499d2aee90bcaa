"""The shortcut for a run in which nothing changed: a mark of everything that goes in and comes out.

First the size, the times and the number of each file are looked at, as git does, and only where those are others, or
too young to tell, what the files contain. It is kept in a cache folder, so a fresh clone takes the long way once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

from server_jobs.project import Project

from .cache_folder import (
    cache_folder,
    circumstances,
    files_under,
    hash_files,
    make_cache_folder,
    names_in,
    read_cached,
    write_cached,
)

# What wrangler and the tools around it put into the Worker project; elsewhere these are names like any other.
OF_TOOLS = ("build", "node_modules", "python_modules", ".venv-workers", ".wrangler")
# The coarsest clock of a file system (FAT's): a file that was written so shortly ago may be written again unnoticed.
_GRAIN = 2_000_000_000
_TOO_YOUNG = "-"


def is_clean(project: Project) -> bool:
    """Whether everything is as it was when `remember` was called last."""
    try:
        stamp = read_cached(cache_folder(project) / "clean")
        marks, _, contents = (stamp or b"").decode("ascii", "replace").partition("\n")
        if not stamp or marks == _marks(project)[0]:
            return bool(stamp)
        # What changes most often is looked at first, and is enough to tell.
        if contents.partition("\n")[0] != _hash_specs(project):
            return False
        return _note(project, only=contents) == contents
    except OSError:
        return False


def remember(project: Project) -> None:
    """Note that the generated files fit the specs. A folder that cannot be written only costs the shortcut."""
    with suppress(OSError):
        make_cache_folder(project)
        _note(project)


def _note(project: Project, only: str | None = None) -> str:
    """Write the stamp of everything as it is now (if that is `only` so), and return the hashes of the contents."""
    with suppress(OSError):
        write_cached(cache_folder(project) / "now", b"")
    now = (cache_folder(project) / "now").stat().st_mtime_ns
    # The marks come first: what changes while the contents are read has another mark when it is looked at again.
    marks, newest = _marks(project)
    contents = f"{_hash_specs(project)}\n{_hash_output(project)}"
    if only in (None, contents):
        stamp = f"{marks if newest < now - _GRAIN else _TOO_YOUNG}\n{contents}"
        with suppress(OSError):
            write_cached(cache_folder(project) / "clean", stamp.encode())
    return contents


def _marks(project: Project) -> tuple[str, int]:
    """A hash of what the file system says of everything, and the newest time in there."""
    digest, newest = sha256(circumstances(project).encode()), 0
    for path in _everything(project):
        found = os.stat(path)  # noqa: PTH116  many thousand times
        newest = max(newest, found.st_mtime_ns, found.st_ctime_ns)
        mark = f"{path}\0{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}\0"
        digest.update(mark.encode("utf-8", "surrogateescape"))
    digest.update(_handlers(project))
    return digest.hexdigest(), newest


def _hash_specs(project: Project) -> str:
    return hash_files(_specs(project))


def _hash_output(project: Project) -> str:
    parts = (circumstances(project).encode(), hash_files(_output(project)).encode(), _handlers(project))
    return sha256(b"\0".join(parts)).hexdigest()


def _handlers(project: Project) -> bytes:
    """Which there are; what is in them is the user's business."""
    return names_in(project.root / project.handlers)


def _everything(project: Project) -> Iterator[str]:
    yield from _specs(project)
    yield from _output(project)


def _specs(project: Project) -> Iterator[str]:
    return files_under(project.root / project.specs)


def _output(project: Project) -> Iterator[str]:
    handlers, output = project.root / project.handlers, project.root / project.output
    tools = {str(output / "worker" / name) for name in OF_TOOLS}
    return files_under(output, {"__pycache__", str(handlers), *tools})
