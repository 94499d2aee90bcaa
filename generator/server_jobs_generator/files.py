"""What the generator produces: files as plain values, whose they are once they are written, and how they are read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from server_jobs.errors import ProjectError


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
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            return stream.read().replace(b"\r\n", b"\n")
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        folder = next(folder for folder in Path(path).parents if folder.exists() and not folder.is_dir())
        raise ProjectError(f"{folder} is in the way: it has to be a folder") from error


def _in_the_way(path: Path | str) -> ProjectError:
    return ProjectError(f"{path} is in the way: a file has to be written there")
