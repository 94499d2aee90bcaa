"""The folder in which the generator keeps what saves it work: nothing in there is ever needed.

It keeps itself out of version control, and what is in it holds only where it was made: a folder that came from
elsewhere, whoever committed it, is as good as an empty one.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import server_jobs
from server_jobs.project import Project

from .generated_file import content_of

CACHE = ".server-jobs-cache"


def cache_folder(project: Project) -> Path:
    """The folder, which need not be there. Raises `OSError` for a link, which may lead out of the project."""
    folder = project.root / CACHE
    if folder.is_symlink():
        raise OSError(f"{folder} is a link, and may lead out of the project")
    return folder


def make_cache_folder(project: Project) -> Path:
    """The same, made if need be. Raises `OSError` where that cannot be."""
    folder = cache_folder(project)
    folder.mkdir(exist_ok=True)
    write_cached(folder / ".gitignore", b"*\n")
    return folder


def read_cached(path: Path) -> bytes | None:
    """What a file of the folder holds, None if there is none. Links are not followed."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def write_cached(path: Path, content: bytes) -> None:
    """Replace a file as a whole: nothing is written through a link, or into a file that has another name elsewhere."""
    handle, new = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with open(handle, "wb") as stream:  # noqa: PTH123  it is open already
            stream.write(content)
        os.replace(new, path)  # noqa: PTH105  as above
    except OSError:
        os.unlink(new)  # noqa: PTH108  as above
        raise


def circumstances(project: Project) -> str:
    """A hash of all that counts beside the specs: settings, the generator, what is installed beside it, this folder."""
    digest = sha256(repr((replace(project, root=Path()), sys.version)).encode())
    found = cache_folder(project).stat()
    digest.update(f"{found.st_dev} {found.st_ino} {_installed()}".encode())
    return digest.hexdigest()


@cache
def _installed() -> str:
    """A hash of the generator and of what is installed beside it, as it is when this process begins to use them.

    The pages of rules are left out: nothing is generated from them.
    """
    generator = Path(__file__).parents[1]
    digest = sha256(names_in(sysconfig.get_path("purelib"), ending=".dist-info"))
    for package in (generator, Path(server_jobs.__file__).parent):
        digest.update(hash_files(files_under(package, {"__pycache__", str(generator / "rules")})).encode())
    return digest.hexdigest()


def names_in(folder: str | Path, ending: str = "") -> bytes:
    """The names in a folder that end like that, in order."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith(ending))
    return "\n".join(names).encode("utf-8", "surrogateescape")


def files_under(folder: str | Path, skip: Set[str] = frozenset()) -> Iterator[str]:
    """Every file below a folder, in order, and each folder behind what is in it, with a slash.

    Raises `OSError` at anything but folders and plain files: what a link or a pipe gives is not known beforehand.
    """
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name in skip or entry.path in skip:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_under(entry.path, skip)
            yield f"{entry.path}/"
        elif entry.is_file(follow_symlinks=False):
            yield entry.path
        else:
            raise OSError(f"{entry.path} is neither a folder nor a plain file")


def hash_files(paths: Iterable[str]) -> str:
    """A hash of what is in these files, as `files_under` gives them."""
    digest = sha256()
    for path in paths:
        content = b"" if path.endswith("/") else content_of(path)
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()
