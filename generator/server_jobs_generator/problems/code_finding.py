"""Findings in the user's own files, for the place where they will run."""

from __future__ import annotations

from dataclasses import dataclass

from .problem import printable
from .verdict import Verdict


@dataclass(frozen=True, slots=True, order=True)
class CodeFinding:
    """A place that cannot work (`fail`) or may be unintended (`warn`); `rule` is the stable name of its kind.

    `path` is relative to the project's root, with `/`; `line` and `column` count from 1. They sort in reading order.
    """

    path: str
    line: int
    column: int
    verdict: Verdict
    rule: str
    message: str
    advice: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}"
        return printable(f"{place} {self.verdict} {self.rule} {self.message}; {self.advice}")
