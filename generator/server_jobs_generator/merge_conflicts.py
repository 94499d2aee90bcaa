"""What a merge of version control left in generated files: neither code nor SQL, whatever a person makes of it.

Nothing in there is to be merged by hand: what one branch made is taken, and what the specs ask for beyond it made anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .contracts.lock import lock_path
from .files import read_file
from .manifest import manifest_path
from .migrations import appended_paths
from .output_rules import MERGE_CONFLICT
from .problems import SpecProblem
from .render import worker_once_paths
from .stamp import OF_TOOLS

_MARKS = (
    re.compile(rb"^<{7} ", re.MULTILINE),
    re.compile(rb"^={7}$", re.MULTILINE),
    re.compile(rb"^>{7} ", re.MULTILINE),
)
_TAKE = "a merge left a conflict here; take the file from one side and generate again"
_SOLVE = "a merge left a conflict here; the file is yours, solve it by hand"
_ADVICE = """\
After a merge nothing in {output}/ is solved by hand, and --force does not help. Solve the conflicts in {specs}/ and in
your own files, take the rest as it is on the branch that is released (here main), and generate again:
  {command}
  server-jobs generate
`server-jobs explain MERGE_CONFLICT` says what becomes of a database that has run the revisions of the other side."""


def merge_conflicts(project: Project) -> list[SpecProblem]:
    """The generated files with conflicts, if there is one where a merge leaves most, and where nothing is made anew.

    Other files need no look while those are in order, but for ones that are not as the generator left them.
    """
    first = [manifest_path(project), lock_path(project), *appended_paths(project), *worker_once_paths(project)]
    return all_conflicts(project) if conflicts_in(project, first) else []


def all_conflicts(project: Project) -> list[SpecProblem]:
    """The same of all files in the output folder, those of handlers and of the Worker's tools left out."""
    return conflicts_in(project, sorted(_files_in(project)))


def conflicts_in(project: Project, paths: Iterable[str]) -> list[SpecProblem]:
    """A problem at the first conflict of each of these files."""
    once, found = worker_once_paths(project), list[SpecProblem]()
    for path in paths:
        with suppress(OSError, ProjectError):
            file = project.root / path
            line = conflict_line(read_file(file) or b"") if _may_have_one(file) else None
            if line is not None:
                found.append(SpecProblem(path, line, 1, "", _SOLVE if path in once else _TAKE, MERGE_CONFLICT.id))
    return found


def _may_have_one(path: Path) -> bool:
    """Whether a part of a mark is in a file. Revisions have megabytes: nothing is copied, and little compared."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        return content.find(b"<<<<") >= 0


def conflict_line(content: bytes) -> int | None:
    """The line, from 1, where the first conflict begins; None if there is none."""
    places: list[int] = []
    for mark in _MARKS:
        match = mark.search(content, places[-1] if places else 0)
        if match is None:
            return None
        places.append(match.start())
    return content.count(b"\n", 0, places[0]) + 1


def advice(project: Project) -> str:
    """What leads out of conflicts in generated files, to be followed to the letter."""
    return _ADVICE.format(output=project.output, specs=project.specs, command=take_back(project))


def take_back(project: Project) -> str:
    """The command of git that takes from a branch what the generator made, and leaves files that are the user's."""
    worker = f"{project.output}/worker"
    kept = [f"{worker}/*.json*", f"{worker}/*.toml"]
    if _is_in_output(project, project.handlers):
        kept.append(project.handlers)
    return " ".join(("git checkout --no-overlay main --", project.output, *(f"':!{path}'" for path in kept)))


def _files_in(project: Project) -> Iterator[str]:
    left_out = {project.handlers, *(f"{project.output}/worker/{name}" for name in OF_TOOLS)}
    for folder, folders, names in os.walk(project.root / project.output):
        relative = os.path.relpath(folder, project.root).replace(os.sep, "/")
        folders[:] = [name for name in folders if name != "__pycache__" and f"{relative}/{name}" not in left_out]
        if relative not in left_out:
            yield from (f"{relative}/{name}" for name in names)


def _is_in_output(project: Project, path: str) -> bool:
    return f"{path}/".startswith(f"{project.output}/")
