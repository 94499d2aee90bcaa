"""Migrations of a Turso database: Alembic does not reach it, so the generated plain SQL is executed instead.

The revision is kept where Alembic keeps it, in the table `alembic_version`, for whoever comes with Alembic later.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..databases.url import TURSO_SCHEMES, parts_of
from ..errors import DatabaseError, ProjectError
from ..ports import Database, Statement
from .workspace import Workspace

_FILE = re.compile(r"(\d{4})_\w+\.sql")
_VERSIONS = """
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
"""


@dataclass(frozen=True, slots=True)
class PlainRevision:
    """One revision as plain SQL: what Alembic calls it, what it does in a word, and its statements."""

    id: str
    description: str
    statements: tuple[str, ...]


def is_turso(workspace: Workspace) -> bool:
    """Whether the database is one of those to which Alembic has no way. Raises `InvalidOptionError` for no URL."""
    return parts_of(workspace.url).scheme in TURSO_SCHEMES


def plain_revisions(workspace: Workspace) -> list[PlainRevision]:
    """The revisions of the project, oldest first. Raises `ProjectError` when there are none, or one is missing."""
    project = workspace.required_project()
    folder = project.root / project.output / "migrations/sql/sqlite"
    revisions: list[PlainRevision] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        if int(match[1]) != len(revisions) + 1:
            raise ProjectError(f"{folder} has {path.name}, and not those before it: run `server-jobs generate`")
        label = path.stem.partition("_")[2].replace("_", " ")
        revisions.append(PlainRevision(f"server_jobs_{match[1]}", label, tuple(_statements(path))))
    if not revisions:
        raise ProjectError(f"there are no migrations yet, {folder} has none; run `server-jobs generate` first")
    return revisions


async def current_revision(database: Database) -> str | None:
    """The revision the database is at; None if it was never migrated. Raises `DatabaseError`."""
    look = Statement("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'", writes=False)
    (tables,) = await database.run((look, {}))
    if not tables:
        return None
    (rows,) = await database.run((Statement("SELECT version_num FROM alembic_version", writes=False), {}))
    if len(rows) > 1:
        raise DatabaseError("the table alembic_version has several rows; keep the one of server-jobs")
    return str(rows[0]["version_num"]) if rows else None


async def upgrade(database: Database, revisions: Sequence[PlainRevision], target: str) -> list[PlainRevision]:
    """Bring the database to this revision, in one transaction; what ran.

    Raises `ProjectError` for a revision that is not there, and `DatabaseError` when a statement fails: then nothing was
    changed. One that somebody else ran meanwhile is not run again.
    """
    while pending := _pending(revisions, before := await current_revision(database), target):
        statements = [_VERSIONS, *_leave(before)]
        for revision in pending:
            statements += revision.statements
        statements.append(f"INSERT INTO alembic_version (version_num) VALUES ('{pending[-1].id}')")  # noqa: S608
        try:
            await database.run(*((Statement(sql, writes=True), {}) for sql in statements))
        except DatabaseError:
            if await current_revision(database) == before:
                raise
        else:
            return pending
    return []


def script(revisions: Sequence[PlainRevision], target: str) -> str:
    """The SQL that brings an empty database to this revision."""
    pending = _pending(revisions, None, target)
    statements = [_VERSIONS.strip(), *(sql for revision in pending for sql in revision.statements)]
    statements.append(f"INSERT INTO alembic_version (version_num) VALUES ('{pending[-1].id}')")  # noqa: S608
    return "".join(f"{sql};\n\n" for sql in ("BEGIN", *statements, "COMMIT"))


def _leave(revision: str | None) -> list[str]:
    return [] if revision is None else [f"DELETE FROM alembic_version WHERE version_num = '{revision}'"]  # noqa: S608


def _pending(revisions: Sequence[PlainRevision], current: str | None, target: str) -> list[PlainRevision]:
    ids = [revision.id for revision in revisions]
    if target not in ("head", "heads", *ids):
        raise ProjectError(f"there is no revision {target!r}; there are {', '.join(ids)}")
    if current is not None and current not in ids:
        raise ProjectError(
            f"the database is at the revision {current}, which is not among those of the project "
            f"({ids[0]} to {ids[-1]}): it was migrated by a newer release, or by other means"
        )
    last = len(ids) if target in ("head", "heads") else ids.index(target) + 1
    return list(revisions[0 if current is None else ids.index(current) + 1 : last])


def _statements(path: Path) -> Iterator[str]:
    """The statements of a file, each without its semicolon."""
    statement = ""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("--") and not statement.strip():
            continue
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip().removesuffix(";")
            statement = ""
    if statement.strip():
        raise ProjectError(f"{path} ends in the middle of a statement; take it back from version control")
