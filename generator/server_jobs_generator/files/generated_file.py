"""What the generator produces: files as plain values, whose they are once they are written, and how they are read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from server_jobs.errors import ProjectError

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_PORTION = 65_536


class Ownership(StrEnum):
    """Rewritten files are the generator's, files written once are the user's, appended ones never change again."""

    REWRITTEN = "rewritten"
    ONCE = "once"
    APPENDED = "appended"


@dataclass(frozen=True, slots=True)
class File:
    """A file that should exist. `path` is relative to the project's root, with `/`.

    `job` is the class name of the job that it follows from, if it follows from one spec and nothing else.
    """

    path: str
    text: str
    ownership: Ownership = Ownership.REWRITTEN
    job: str = ""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that exists as it should, so that nobody needs its text; `hash` is that of what would be written."""

    path: str
    hash: str
    ownership: Ownership


def read_file(path: Path | str) -> bytes | None:
    """What is in a file, None if there is none. Line endings do not count: version control may change them.

    Raises `ProjectError` for whatever else lies there: a pipe would never end, and a device not soon.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  many thousand times
            raise _in_the_way(path)
        return content_of(path).replace(b"\r\n", b"\n")
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        folder = next(folder for folder in Path(path).parents if folder.exists() and not folder.is_dir())
        raise ProjectError(f"{folder} is in the way: it has to be a folder") from error


def content_of(path: Path | str, most: int | None = None) -> bytes:
    """The bytes of a plain file, or about `most` of them, if there are more.

    With the fewest calls of the system that can do it, as thousands of files are read in each run.
    """
    handle = os.open(path, _READ)
    try:
        parts, size = list[bytes](), 0
        # A part can be shorter than what was asked for, on file systems of a network: only an empty one is the end.
        while (most is None or size < most) and (part := os.read(handle, _PORTION)):
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def _in_the_way(path: Path | str) -> ProjectError:
    return ProjectError(f"{path} is in the way: a file has to be written there")
