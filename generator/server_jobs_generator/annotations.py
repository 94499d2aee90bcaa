"""Everything that a run found, each as a place and a message: what programs that show problems want to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from server_jobs.cli.findings import Verdict

from .output import Finding, State
from .plan import Plan
from .worker_lint.finding import CodeFinding

_ADVICE: Mapping[State, str] = {
    State.MISSING: "is not there; run server-jobs generate",
    State.STALE: "is not what the specs ask for any more; run server-jobs generate",
    State.EDITED: "was changed by hand; make the change in the spec or in a handler",
    State.EXTRA: "is unknown, and its folder belongs to the generator; move or delete it",
}


class Level(StrEnum):
    """Whether it fails the command, should be looked at, or is only said."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Annotation:
    """One thing to show at a place. `path` is relative to the project's root; `pointer` is `""` for a whole file."""

    path: str
    line: int
    column: int
    level: Level
    rule: str
    message: str
    pointer: str = ""


def annotate(plan: Plan, files: Iterable[Finding], code: Sequence[CodeFinding] = ()) -> Iterator[Annotation]:
    """The problems of the specs, those of a plan's files that are in the way, and what was found in code."""
    for problem in plan.problems:
        place = problem.path, problem.line, problem.column
        yield Annotation(*place, Level.ERROR, problem.rule, problem.pointer_and_message, problem.pointer)
    yield from map(_of_file, files)
    for finding in dict.fromkeys((*plan.configuration, *code)):
        level = Level.ERROR if finding.verdict is Verdict.FAIL else Level.WARNING
        message = f"{finding.message}; {finding.advice}"
        yield Annotation(finding.path, finding.line, finding.column, level, finding.rule, message)


def _of_file(finding: Finding) -> Annotation:
    return Annotation(finding.path, 1, 1, Level.ERROR, finding.state.value, f"{finding.path} {_ADVICE[finding.state]}")
