"""Generated files as plain values, their owners, and functions that read files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from server_jobs.errors import ProjectError

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_PORTION = 65_536

_MARKS = (
    re.compile(rb"^<{7} ", re.MULTILINE),
    re.compile(rb"^={7}$", re.MULTILINE),
    re.compile(rb"^>{7} ", re.MULTILINE),
)
_CONFLICT = re.compile(
    r"^<{7} [^\n]*\n(?P<ours>.*?)(?:^\|{7}[^\n]*\n.*?)?^={7}\n(?P<theirs>.*?)^>{7} [^\n]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


class Ownership(StrEnum):
    """The owner of a file: the generator if rewritten, the user if written once. An appended file never changes."""

    REWRITTEN = "rewritten"
    ONCE = "once"
    APPENDED = "appended"


@dataclass(frozen=True, slots=True)
class File:
    """A file that should exist. `path` is relative to the project's root, with `/`.

    `job` is the class name of a job, if the file depends on the spec of this job only.
    """

    path: str
    text: str
    ownership: Ownership = Ownership.REWRITTEN
    job: str = ""

    @property
    def hash(self) -> str:
        """The SHA-256 of the content, in hexadecimal digits."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that is up to date, so that the run does not need its text. `hash` is the hash of its content."""

    path: str
    hash: str
    ownership: Ownership
    job: str = ""

    def is_there(self, root: Path) -> bool:
        """Return whether the file still has this content. A file that the user owns only has to exist."""
        path = f"{root}/{self.path}"
        if self.ownership is Ownership.ONCE:
            return os.path.lexists(path)
        with suppress(OSError, ProjectError):
            content = read_file(path)
            return content is not None and sha256(content).hexdigest() == self.hash
        return False


def read_file(path: Path | str) -> bytes | None:
    """Return the content of a file with Unix line endings, because version control may change line endings.

    Return None if there is no file. Raises `ProjectError` for anything else at this path: reading a pipe or a device
    may never end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  many thousand times
            raise ProjectError(f"{path} is in the way: a file has to be written there")
        return content_of(path).replace(b"\r\n", b"\n")
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        folder = next(folder for folder in Path(path).parents if folder.exists() and not folder.is_dir())
        raise ProjectError(f"{folder} is in the way: it has to be a folder") from error


def content_of(path: Path | str, most: int | None = None) -> bytes:
    """Return the bytes of a plain file, or about the first `most` of them.

    Each run reads thousands of files, so this makes as few system calls as possible.
    """
    handle = os.open(path, _READ)
    try:
        parts, size = list[bytes](), 0
        # A network file system may return fewer bytes than requested. Only an empty part is the end.
        while (most is None or size < most) and (part := os.read(handle, _PORTION)):
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def check_inside(root: Path, paths: Iterable[str]) -> None:
    """Raise `ProjectError` if a link leads one of these paths out of the project."""
    real_root, prefix = root.resolve(), f"{root}/"
    folders = {path.rpartition("/")[0] or "." for path in paths}
    links = {path for path in paths if os.path.islink(prefix + path)}  # noqa: PTH114  many thousand times
    for path in sorted(folders | links):
        target = (root / path).resolve()
        if not target.is_relative_to(real_root):
            raise ProjectError(f"{path} leads out of the project, to {target}; remove the link, nothing was written")


def conflict_line(content: bytes) -> int | None:
    """Return the number of the line, from 1, where the first conflict begins; None if there is none."""
    if b"<<<<<<< " not in content:
        return None
    places: list[int] = []
    for mark in _MARKS:
        match = mark.search(content, places[-1] if places else 0)
        if match is None:
            return None
        places.append(match.start())
    return content.count(b"\n", 0, places[0]) + 1


def sides(text: str) -> tuple[str, str]:
    """Return the text of each of the two sides: ours, then theirs."""
    return _CONFLICT.sub(r"\g<ours>", text), _CONFLICT.sub(r"\g<theirs>", text)
