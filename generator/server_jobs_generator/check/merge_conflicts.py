"""Conflicts of a merge that a person has to solve: in specs, in files that are theirs, and in revisions.

Everything else in the output folder is made from the specs and from what both branches released.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..files.conflict_marks import conflict_line
from ..files.generated_file import read_file
from ..migrations.history import appended_paths, is_revision
from ..problems.output_rules import MERGE_CONFLICT
from ..problems.problem import SpecProblem
from ..read.spec_files import SpecFile
from ..render.project_files import worker_once_paths

_SOLVE = "a merge left a conflict here; the file is yours: solve the conflict, then run `server-jobs generate`"
_TAKE = (
    "a merge left a conflict here, although revisions never change; "
    "take the file from the branch whose databases you keep, then run `server-jobs generate`"
)


def merge_conflicts(
    project: Project, specs: Iterable[SpecFile | SpecProblem], problems: Iterable[SpecProblem]
) -> list[SpecProblem]:
    """Return the problems of specs, with one for each file that a person has to merge.

    What else is wrong with a file that has conflicts does not matter before they are solved.
    """
    yours = {file.path: file.data for file in specs if isinstance(file, SpecFile)}
    yours |= dict(_contents(project, worker_once_paths(project)))
    revisions = [path for path in appended_paths(project) if is_revision(path.rpartition("/")[2])]
    found = [*_conflicts(yours.items(), _SOLVE), *_conflicts(_contents(project, revisions), _TAKE)]
    unmerged = {problem.path for problem in found}
    return [*found, *(problem for problem in problems if problem.path not in unmerged)]


def _conflicts(files: Iterable[tuple[str, bytes]], message: str) -> Iterator[SpecProblem]:
    for path, content in files:
        line = conflict_line(content)
        if line is not None:
            yield SpecProblem(path, line, 1, "", message, MERGE_CONFLICT.id)


def _contents(project: Project, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        with suppress(OSError, ProjectError):
            yield path, read_file(project.root / path) or b""
