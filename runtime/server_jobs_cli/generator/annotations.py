"""Everything that a run found, each as a place and a message: what programs that show problems want to know."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from server_jobs_generator.contracts.finding import ContractFinding
from server_jobs_generator.files.changes import Finding, State
from server_jobs_generator.plan import Plan
from server_jobs_generator.problems.verdict import Verdict
from server_jobs_generator.worker_lint.rules import CodeFinding

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
    """One thing to show at a place. `pointer` is `""` for a whole file."""

    path: str
    line: int
    column: int
    level: Level
    rule: str
    message: str
    pointer: str = ""


def annotate(plan: Plan, files: Iterable[Finding], code: Sequence[CodeFinding] = ()) -> Iterator[Annotation]:
    """The problems of the specs, those of a plan's files that are in the way, and what was found in code.

    Paths are relative to the project's root.
    """
    for problem in plan.problems:
        place = problem.path, problem.line, problem.column
        yield Annotation(*place, Level.ERROR, problem.rule, problem.pointer_and_message, problem.pointer)
    yield from (_of_contract(finding) for finding in plan.contracts if finding.accepted is None)
    yield from map(_of_file, files)
    for finding in dict.fromkeys((*plan.configuration, *code)):
        level = Level.ERROR if finding.verdict is Verdict.FAIL else Level.WARNING
        message = f"{finding.message}; {finding.advice}"
        yield Annotation(finding.path, finding.line, finding.column, level, finding.rule, message)


def below_repository(root: Path, found: Iterable[Annotation]) -> Iterator[Annotation]:
    """The same with paths relative to the repository, of which the project may be a folder."""
    prefix = _prefix(root.resolve())
    yield from (replace(one, path=prefix + one.path) for one in found)


def _prefix(root: Path) -> str:
    """The way to the project from the top of its work tree, or, where there is none, from that of a workflow."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    tops = [folder for folder in (root, *root.parents) if (folder / ".git").exists()]
    if not tops and workspace and root.is_relative_to(Path(workspace).resolve()):
        tops = [Path(workspace).resolve()]
    path = root.relative_to(tops[0]).as_posix() if tops else "."
    return "" if path == "." else f"{path}/"


def _of_contract(finding: ContractFinding) -> Annotation:
    place = finding.place
    message = f"{place.pointer or '(whole file)'} {finding.text}"
    level = Level(finding.severity.value)
    return Annotation(place.path, place.line, place.column, level, finding.rule, message, place.pointer)


def _of_file(finding: Finding) -> Annotation:
    return Annotation(finding.path, 1, 1, Level.ERROR, finding.state.value, f"{finding.path} {_ADVICE[finding.state]}")
