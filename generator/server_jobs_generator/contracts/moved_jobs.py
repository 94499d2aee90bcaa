"""Jobs whose spec has another file name than when they were released: they go by their titles, and stay what they were.

Their handlers have to move along. They are the user's: what has to move where is told, and nothing is done before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from server_jobs.project import Project

from ..ir.spec import JobSpec
from ..problems.output_rules import HANDLER_NOT_MOVED
from ..problems.problem import SpecProblem
from .earlier_versions import steps_of
from .lock.lock_file import Lock


def handlers_left_behind(project: Project, jobs: Sequence[JobSpec], lock: Lock) -> Iterator[SpecProblem]:
    """The jobs whose handlers, or upcasters, still lie under their earlier names and would not be used any more."""
    for job in jobs:
        moves = [
            (f"{project.handlers}/{old}.py", f"{project.handlers}/{new}.py")
            for old, new in _modules(job, lock)
            if _is_file(project, f"{project.handlers}/{old}.py")
            and not _is_file(project, f"{project.handlers}/{new}.py")
        ]
        if moves:
            yield SpecProblem(job.path, 1, 1, "", _message(project, job, lock, moves), HANDLER_NOT_MOVED.id)


def _modules(job: JobSpec, lock: Lock) -> Iterator[tuple[str, str]]:
    """The old and the new name of each module of a job, if it has moved."""
    locked = lock.jobs.get(job.class_name)
    if locked is not None and locked.spec_name != job.spec_name:
        yield locked.spec_name, job.spec_name
        for step in steps_of(job, lock):
            for version in (step.before, step.after):
                yield f"{locked.spec_name}{version.module.removeprefix(job.spec_name)}", version.module


def _is_file(project: Project, path: str) -> bool:
    return os.path.lexists(project.root / path)


def _message(project: Project, job: JobSpec, lock: Lock, moves: Sequence[tuple[str, str]]) -> str:
    earlier = f"{project.specs}/{lock.jobs[job.class_name].spec_name}.json"
    unique: Mapping[str, str] = dict(moves)
    commands = " && ".join(f"git mv {old} {new}" for old, new in unique.items())
    return (
        f"{job.class_name} was {earlier} before, and what you wrote for it has to move along: run "
        f"{commands}, or delete {' and '.join(unique)} if you want to begin anew"
    )
