"""The errors and warnings of one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..problems.problem import SpecProblem
from ..problems.rules import Rule
from ..problems.verdict import Verdict
from .document import MAX_PROBLEMS, Document, Pointer

MOST_WARNINGS = 10
"""The most warnings of one rule that a file shows. Public schemas may have thousands."""


class TooManyProblemsError(Exception):
    """A file has so many errors that the check stops."""


@dataclass(slots=True)
class FileReport:
    """Collects the problems of a document. Raises `TooManyProblemsError` at the two hundredth error."""

    document: Document
    errors: list[SpecProblem] = field(default_factory=list[SpecProblem])
    warnings: list[SpecProblem] = field(default_factory=list[SpecProblem])

    def add(self, pointer: Pointer, rule: Rule, message: str, *, at_key: bool = False) -> None:
        """Add a problem at this place. The verdict of the rule decides whether it is an error or a warning.

        Raises `TooManyProblemsError` after the last error that a file may have.
        """
        problem = self.document.problem(pointer, rule, message, at_key=at_key)
        if rule.verdict is Verdict.WARN:
            self.warnings.append(problem)
            return
        self.errors.append(problem)
        if len(self.errors) >= MAX_PROBLEMS:
            raise TooManyProblemsError


def shortened(warnings: Iterable[SpecProblem]) -> Iterator[SpecProblem]:
    """Yield each warning once. Of a rule with too many in a file, yield the first, with the number of the others."""
    by_rule: dict[tuple[str, str], list[SpecProblem]] = {}
    for warning in sorted({*warnings}):
        by_rule.setdefault((warning.path, warning.rule), []).append(warning)
    for first, *others in by_rule.values():
        if len(others) < MOST_WARNINGS:
            yield from (first, *others)
        else:
            yield replace(first, message=f"{first.message} (and {len(others):,} more in this file)")
