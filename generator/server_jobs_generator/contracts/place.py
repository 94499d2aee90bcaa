"""A place in a file that a finding is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A value in a file. `path` is relative to the project's root; of an old place it may begin with a revision."""

    path: str
    line: int
    column: int
    pointer: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"
