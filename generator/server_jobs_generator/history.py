"""The revisions a project has: numbered from 1, each in a file of its own, never changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .files import read_file

VIEWS = "views"
"""The label of revisions that make and drop views, their indexes and their functions, and do nothing else."""

_FILE = re.compile(r"(?P<id>server_jobs_(?P<number>\d{4}))(?:_\w+)?\.py")


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision: its number from 1, what its file is called, and its text."""

    number: int
    label: str
    text: str

    @property
    def id(self) -> str:
        """What Alembic calls it."""
        return revision_id(self.number)

    @property
    def file_name(self) -> str:
        """The name of its module in `versions/`."""
        return f"{self.id}_{self.label}.py"

    @property
    def sql_name(self) -> str:
        """The name of its flat SQL files."""
        return f"{self.number:04}_{self.label}.sql"


def revision_id(number: int) -> str:
    """The id of the revision with that number."""
    return f"server_jobs_{number:04}"


def versions_folder(project: Project) -> str:
    """Where the revisions lie, relative to the project's root."""
    return f"{project.output}/migrations/versions"


def read_history(project: Project) -> tuple[Revision, ...]:
    """The generator's revisions in order; others in the same folder are left alone.

    Raises `ProjectError` when two have one number, or one is missing before the last.
    """
    folder = project.root / versions_folder(project)
    revisions: list[Revision] = []
    for path in sorted(folder.glob("server_jobs_*.py")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        label = path.stem.removeprefix(match["id"]).removeprefix("_")
        revisions.append(Revision(int(match["number"]), label, (read_file(path) or b"").decode()))
        if len(revisions) != revisions[-1].number:
            raise ProjectError(_gap(folder, path, revisions))
    return tuple(revisions)


def _gap(folder: Path, path: Path, revisions: Sequence[Revision]) -> str:
    if len(revisions) > 1 and revisions[-1].number == revisions[-2].number:
        return (
            f"{path} and {folder / revisions[-2].file_name} are both revision {revisions[-1].id}: two branches of "
            "work each made one. Keep what is on the branch that is released, and generate again: "
            "`server-jobs explain MERGE_CONFLICT` says how"
        )
    return f"{folder} has {path.name}, but no revision {revision_id(len(revisions))}: take it back from version control"
