"""The shortcut for a run in which nothing changed: one hash over everything that goes in and comes out.

It is kept in a cache folder, like those of other tools, so a fresh clone takes the long way once.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

import server_jobs
from server_jobs.project import Project

CACHE = ".server-jobs-cache"
# What wrangler and the tools around it put into the Worker project; elsewhere these are names like any other.
_NOT_OURS = ("build", "node_modules", "python_modules", ".venv-workers", ".wrangler")


def is_clean(project: Project) -> bool:
    """Whether everything is as it was when `remember` was called last."""
    try:
        clean = _cache(project) / "clean"
        is_plain = clean.is_file() and not clean.is_symlink()
        return is_plain and clean.read_text(encoding="utf-8") == _hash(project)
    except OSError:
        return False


def remember(project: Project) -> None:
    """Note that the generated files fit the specs. A folder that cannot be written only costs the shortcut."""
    with suppress(OSError):
        folder = _cache(project)
        folder.mkdir(exist_ok=True)
        for name, text in ((".gitignore", "*\n"), ("clean", _hash(project))):
            _write_anew(folder / name, text)


def _cache(project: Project) -> Path:
    folder = project.root / CACHE
    if folder.is_symlink():
        raise OSError(f"{folder} is a link, and may lead out of the project")
    return folder


def _write_anew(path: Path, text: str) -> None:
    """Nothing is written through a link, or into a file that has another name elsewhere."""
    if path.is_symlink():
        raise OSError(f"{path} is a link, and may lead out of the project")
    path.unlink(missing_ok=True)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)


def _hash(project: Project) -> str:
    settings = (project.specs, project.output, project.handlers, project.database_url_env, project.outputs)
    digest = hashlib.sha256(repr(settings).encode())
    for path, content in _everything(project):
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _everything(project: Project) -> Iterator[tuple[str, bytes]]:
    """The generator and what is installed beside it, the specs, the output, and which handlers there are."""
    handlers, output = project.root / project.handlers, project.root / project.output
    yield "installed", _names(sysconfig.get_path("purelib"), ending=".dist-info")
    yield "handlers", _names(handlers)
    for package in (Path(__file__).parent, Path(server_jobs.__file__).parent):
        yield from _contents(package, {"__pycache__"})
    yield from _contents(project.root / project.specs)
    tools = {str(output / "worker" / name) for name in _NOT_OURS}
    yield from _contents(output, {"__pycache__", str(handlers), *tools})


def _names(folder: str | Path, ending: str = "") -> bytes:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith(ending))
    return "\n".join(names).encode("utf-8", "surrogateescape")


def _contents(folder: str | Path, skip: Set[str] = frozenset()) -> Iterator[tuple[str, bytes]]:
    """Raises `OSError` at anything but folders and plain files: what a link or a pipe gives is not known beforehand."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name in skip or entry.path in skip:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield entry.name, b"a folder"
            yield from _contents(entry.path, skip)
            yield "the end of the folder", b""
        elif entry.is_file(follow_symlinks=False):
            yield entry.name, Path(entry.path).read_bytes()
        else:
            raise OSError(f"{entry.path} is neither a folder nor a plain file")
