"""Every revision once more as plain SQL, for databases that Alembic does not reach and for people who read SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from server_jobs.project import Project

from .files import File, Ownership
from .history import Revision
from .replay import postgresql_statements, sqlite_statements

_LEADING_TAB = re.compile(r"^\t", re.MULTILINE)
_TRAILING_SPACE = re.compile(r"[ \t]+$", re.MULTILINE)


_SQLITE = "migrations/sql/sqlite"
_POSTGRESQL = "migrations/sql/postgresql"
_D1 = "worker/migrations"


def sql_files(project: Project, revisions: Sequence[Revision]) -> Iterator[File]:
    """The flat SQL of every revision, for SQLite, for D1 (the same text), and for PostgreSQL."""
    statements = sqlite_statements(revisions)
    for revision in revisions:
        sqlite = _script(revision, statements[revision.number])
        postgresql = _script(revision, postgresql_statements(revision))
        for folder, text in ((_SQLITE, sqlite), (_POSTGRESQL, postgresql), (_D1, sqlite)):
            yield File(_path(project, folder, revision), text, Ownership.APPENDED)


def sql_paths(project: Project, revision: Revision) -> list[str]:
    """Where the flat SQL of a revision lies."""
    return [_path(project, folder, revision) for folder in (_SQLITE, _POSTGRESQL, _D1)]


def _path(project: Project, folder: str, revision: Revision) -> str:
    return f"{project.output}/{folder}/{revision.sql_name}"


def _script(revision: Revision, statements: Iterable[str]) -> str:
    head = f"-- {revision.id} as plain SQL. If Alembic is to take over later: alembic stamp {revision.id}\n"
    body = "\n".join(f"{_tidy(statement)};\n" for statement in statements)
    return f"{head}\n{body}"


def _tidy(statement: str) -> str:
    return _TRAILING_SPACE.sub("", _LEADING_TAB.sub("    ", statement.strip()))
