"""What is wrong with a place in the code: one line a finding, like the problems of specs."""

from __future__ import annotations

from dataclasses import dataclass

from server_jobs_generator.problems.verdict import Verdict

from ..problems.problem import printable


@dataclass(frozen=True, slots=True, order=True)
class CodeFinding:
    """One thing that does not work (`fail`) or may not be meant (`warn`); `rule` is the stable name of its kind.

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
