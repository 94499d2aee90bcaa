"""What the generator produces: files as plain values, and whose they are once they are written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
