"""The revisions of a project: each in a file that never changes, named after its content.

A revision names its parents. Two branches of version control give two heads, which the next revision joins.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Self

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..files.generated_file import read_file
from ..files.git import is_of_another_branch
from ..outputs import sql_forms

TABLES, SCHEDULES, VIEWS, MERGE = "tables", "schedules", "views", "merge"
"""The labels of revisions. A revision of views creates and drops only views, their indexes and their functions."""

CHECKSUM = "-- Checksum: "
"""The comment in flat SQL before the checksum of the text below it."""

_FILE = re.compile(r"server_jobs_(?P<number>\d{4})_(?P<digest>[0-9a-f]{8})_(?P<label>\w+)\.py")
_PARENTS = re.compile(r"^down_revision = (None|\".*?\"|\(.*?\))$", re.MULTILINE | re.DOTALL)
_LEADS_TO = re.compile(r'^leads_to = "(\w+)"$', re.MULTILINE)
_NO_DIGEST = "0" * 8
_FLAT_SQL = {"sqlite": "migrations/sql/sqlite", "postgresql": "migrations/sql/postgresql"}
"""The folder of the flat SQL of each kind of database, besides those of outputs."""
_SQL_FILES = "[0-9][0-9][0-9][0-9]_*.sql"


@dataclass(frozen=True)
class Revision:
    """One revision: its position in the history from 1, the digest of its content, its label, and its text."""

    number: int
    digest: str
    label: str
    text: str

    @classmethod
    def of(cls, number: int, label: str, text: str) -> Self:
        """Return the revision with this text, in which `draft_id(number)` stands for its id."""
        digest = sha256(text.encode()).hexdigest()[: len(_NO_DIGEST)]
        return cls(number, digest, label, text.replace(draft_id(number), _id(number, digest)))

    def leading_to(self, fingerprint: str) -> Self:
        """Return this revision with the fingerprint of the schema that it leads to. This changes its id."""
        draft = self.text.replace(self.id, draft_id(self.number))
        stated = draft.replace("\ndepends_on = None\n", f'\ndepends_on = None\nleads_to = "{fingerprint}"\n', 1)
        return self.of(self.number, self.label, stated)

    @property
    def leads_to(self) -> str:
        """Return the fingerprint of the schema after it, or "" if it has none."""
        match = _LEADS_TO.search(self.text)
        return match[1] if match else ""

    @property
    def id(self) -> str:
        """Return the id that Alembic stores."""
        return _id(self.number, self.digest)

    @property
    def file_name(self) -> str:
        """Return the name of its module in `versions/`."""
        return f"{self.id}_{self.label}.py"

    @property
    def sql_name(self) -> str:
        """Return the name of its flat SQL files."""
        return f"{self.id.removeprefix('server_jobs_')}_{self.label}.sql"

    @property
    def is_as_written(self) -> bool:
        """Return whether the digest in the id matches the text."""
        draft = self.text.replace(self.id, draft_id(self.number))
        return sha256(draft.encode()).hexdigest().startswith(self.digest)

    @cached_property
    def parents(self) -> tuple[str, ...]:
        """Return the ids of its parents; none for the first revision. Raises `ProjectError` if the text lacks them."""
        match = _PARENTS.search(self.text)
        if match is None:
            raise ProjectError(f"the revision {self.file_name} has no down_revision; restore it from version control")
        parents = literal_eval(match[1])
        return (parents,) if isinstance(parents, str) else tuple(map(str, parents or ()))


def draft_id(number: int) -> str:
    """Return the placeholder for the id of a revision while its content has no digest yet."""
    return _id(number, _NO_DIGEST)


def _id(number: int, digest: str) -> str:
    return f"server_jobs_{number:04}_{digest}"


def versions_folder(project: Project) -> str:
    """Return the folder of the revisions, relative to the project's root."""
    return f"{project.output}/migrations/versions"


def sql_paths(project: Project, revision: Revision) -> dict[str, str]:
    """Return the paths of a revision's flat SQL, by "sqlite", "postgresql", and the outputs that need another form."""
    return {kind: f"{project.output}/{folder}/{revision.sql_name}" for kind, folder in _sql_folders(project).items()}


def _sql_folders(project: Project) -> dict[str, str]:
    return _FLAT_SQL | {name: f"{form.folder}/migrations" for name, form in sql_forms(project).items()}


def appended_paths(project: Project) -> list[str]:
    """Return the paths of the generator's revisions in the project, and of their flat SQL."""
    output = project.root / project.output
    versions = (project.root / versions_folder(project)).glob("server_jobs_*.py")
    found: list[Path] = [path for path in versions if is_revision(path.name)]
    folders = [output / folder for folder in _sql_folders(project).values()]
    for folder in folders:
        found += folder.glob(_SQL_FILES)
    # Of an output that the project had before. The seal shows that the generator wrote the file.
    others = [path for path in output.glob(f"*/migrations/{_SQL_FILES}") if path.parent not in folders]
    found += [path for path in others if is_intact(path.name, read_file(path) or b"")]
    return sorted(path.relative_to(project.root).as_posix() for path in found)


def is_revision(name: str) -> bool:
    """Return whether a file in the folder of revisions is one of the generator's."""
    return _FILE.fullmatch(name) is not None


def read_history(project: Project) -> tuple[Revision, ...]:
    """Return the generator's revisions, parents first. Other files in the folder are ignored.

    A revision that was cherry-picked from another branch without its parents does not count; its changes are generated
    again. Raises `ProjectError` if two revisions have the same id, or if a parent was lost.
    """
    folder = project.root / versions_folder(project)
    known: dict[str, Revision] = {}
    picked = set[str]()
    for revision in sorted(filter(None, map(_read, folder.glob("server_jobs_*.py"))), key=_order):
        if revision.id in known:
            raise ProjectError(_same_id(folder, known[revision.id], revision))
        missing = [parent for parent in revision.parents if parent not in known]
        for parent in missing:
            if parent not in picked and not is_of_another_branch(project, f"{versions_folder(project)}/{parent}_"):
                raise ProjectError(
                    f"{folder} has {revision.file_name}, which follows {parent}, but no revision of that id: "
                    "restore it from version control"
                )
        if missing:
            picked.add(revision.id)
        else:
            known[revision.id] = revision
    return tuple(known.values())


def heads(history: Sequence[Revision]) -> tuple[Revision, ...]:
    """Return the revisions without children."""
    followed = {parent for revision in history for parent in revision.parents}
    return tuple(revision for revision in history if revision.id not in followed)


def ancestors(history: Sequence[Revision], ids: Iterable[str]) -> tuple[Revision, ...]:
    """Return these revisions and all their ancestors, in the order of `history`."""
    by_id: Mapping[str, Revision] = {revision.id: revision for revision in history}
    found, rest = set[str](), [*ids]
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest += by_id[one].parents
    return tuple(revision for revision in history if revision.id in found)


def _revision_of(file_name: str, text: str) -> Revision | None:
    """Return the revision in a file of that name; None if the generator did not write it."""
    match = _FILE.fullmatch(file_name)
    return None if match is None else Revision(int(match["number"]), match["digest"], match["label"], text)


def checksum(body: str) -> str:
    """Return the checksum line of a text of flat SQL."""
    return sha256(body.encode()).hexdigest()[:16]


def is_intact(path: str, content: bytes) -> bool:
    """Return whether the seal of a file matches its content."""
    text = content.decode("utf-8", "replace")
    name = PurePosixPath(path).name
    if is_revision(name):
        revision = _revision_of(name, text)
        return revision is not None and revision.is_as_written
    stated, _, body = text.partition(CHECKSUM)[2].partition("\n")
    return stated == checksum(body)


def _read(path: Path) -> Revision | None:
    return _revision_of(path.name, (read_file(path) or b"").decode()) if is_revision(path.name) else None


def _order(revision: Revision) -> tuple[int, str, str]:
    return revision.number, revision.digest, revision.label


def _same_id(folder: Path, one: Revision, other: Revision) -> str:
    return (
        f"{folder} has {one.file_name} and {other.file_name}, which are both the revision {one.id}: "
        "delete the copy, and generate again"
    )
