"""What the generator produces: files as plain values, whose they are once they are written, and how they are read."""

from __future__ import annotations

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
    """A file that should exist. `path` is relative to the project's root, with `/`."""

    path: str
    text: str
    ownership: Ownership = Ownership.REWRITTEN


def read_file(path: Path) -> bytes | None:
    """What is in a file, None if there is none. Line endings do not count: version control may change them.

    Raises `ProjectError` for whatever else lies there: a pipe would never end, and a device not soon.
    """
    in_the_way = ProjectError(f"{path} is in the way: a file has to be written there")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise in_the_way
        return path.read_bytes().replace(b"\r\n", b"\n")
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise in_the_way from error
