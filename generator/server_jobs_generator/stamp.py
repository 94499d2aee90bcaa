"""The shortcut for a run in which nothing changed: one hash over everything that goes in and comes out.

It is kept in a cache folder, like those of other tools, so a fresh clone takes the long way once.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import server_jobs
from server_jobs.project import Project

CACHE = ".server-jobs-cache"
_NOT_OURS = frozenset({"__pycache__", "build", "node_modules", "python_modules", ".venv-workers", ".wrangler"})


def is_clean(project: Project) -> bool:
    """Whether everything is as it was when `remember` was called last."""
    try:
        return (project.root / CACHE / "clean").read_text(encoding="utf-8") == _hash(project)
    except OSError:
        return False


def remember(project: Project) -> None:
    """Note that the generated files fit the specs. A folder that cannot be written only costs the shortcut."""
    folder = project.root / CACHE
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        (folder / "clean").write_text(_hash(project), encoding="utf-8")


def _hash(project: Project) -> str:
    digest = hashlib.sha256(repr((project.specs, project.output, project.handlers, project.database_url_env)).encode())
    for path, content in _everything(project):
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _everything(project: Project) -> Iterator[tuple[str, bytes]]:
    """The generator and what is installed beside it, the specs, the output, and which handlers there are."""
    handlers = project.root / project.handlers
    yield "installed", _names(sysconfig.get_path("purelib"), ending=".dist-info")
    yield "handlers", _names(handlers)
    for package in (Path(__file__).parent, Path(server_jobs.__file__).parent):
        yield from _contents(package)
    yield from _contents(project.root / project.specs)
    yield from _contents(project.root / project.output, skip=str(handlers))


def _names(folder: str | Path, ending: str = "") -> bytes:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith(ending))
    return "\n".join(names).encode("utf-8", "surrogateescape")


def _contents(folder: str | Path, skip: str = "") -> Iterator[tuple[str, bytes]]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if not entry.is_dir(follow_symlinks=False):
            yield entry.name, Path(entry.path).read_bytes()
        elif entry.name not in _NOT_OURS and entry.path != skip:
            yield entry.name, b"a folder"
            yield from _contents(entry.path, skip)
            yield "the end of the folder", b""
