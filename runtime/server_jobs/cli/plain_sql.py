"""Migrations of a Turso database: Alembic does not reach it, so the generated plain SQL is executed instead.

The revision is recorded in the table that Alembic uses for it, so that Alembic can go on with a copy in a file.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..databases.url import TURSO_SCHEMES, is_postgres, parts_of
from ..errors import DatabaseError, ProjectError
from ..migrations.recorded import EARLIER_TABLE, VERSION_TABLE, Recorded, recorded_in
from ..ports import Database, Statement
from ..tables import TABLES
from .workspace import Workspace

_FILE = re.compile(r"(\d{4})_\w+\.sql")
_VERSIONS = f"""
CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)
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
    return not is_postgres(workspace.url) and parts_of(workspace.url).scheme in TURSO_SCHEMES


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


async def recorded(database: Database) -> Recorded:
    """Return the revisions that ran in the database. Raises `DatabaseError`."""
    tables = await _present(database, (VERSION_TABLE, EARLIER_TABLE))
    own, alembic = [
        await _rows(database, name) if name in tables else frozenset[str]() for name in (VERSION_TABLE, EARLIER_TABLE)
    ]
    return recorded_in(own, alembic)


async def current_revision(database: Database) -> str | None:
    """Return the revision the database is at; None if it was never migrated. Raises `DatabaseError`."""
    found = await recorded(database)
    if len(found.revisions) > 1:
        raise DatabaseError(
            f"the database has several revisions of server-jobs ({', '.join(found.revisions)}); keep one"
        )
    return next(iter(found.revisions), None)


async def upgrade(database: Database, revisions: Sequence[PlainRevision], target: str) -> list[PlainRevision]:
    """Bring the database to this revision, in one transaction, and return the revisions that ran.

    Raises `ProjectError` for an unknown revision, and `DatabaseError` if tables of others are in the way or a statement
    fails: then nothing was changed. A revision that somebody else ran meanwhile is not run again.
    """
    await _check_tables(database)
    while True:
        before = await current_revision(database)
        pending = _pending(revisions, before, target)
        moves = (await recorded(database)).is_adoptable
        if not pending and not moves:
            return []
        statements = [_VERSIONS, *_leave(before, moves=moves)]
        for revision in pending:
            statements += revision.statements
        after = pending[-1].id if pending else before
        statements.append(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{after}')")  # noqa: S608
        try:
            await database.run(*((Statement(sql, writes=True), {}) for sql in statements))
        except DatabaseError:
            if await current_revision(database) == before:
                raise
        else:
            return pending


async def _check_tables(database: Database) -> None:
    """Raise `DatabaseError` if something else has the names of our tables, in a database that was never migrated."""
    if (await recorded(database)).revisions:
        return
    if taken := await _present(database, TABLES):
        raise DatabaseError(
            f"the database has {', '.join(map(repr, sorted(taken)))} already, and no revision of server-jobs is "
            "recorded. Nothing was changed. Give server-jobs a database of its own; if its plain SQL made the tables, "
            "go on with that"
        )


async def _present(database: Database, names: Sequence[str]) -> frozenset[str]:
    """Return which of these tables and views there are."""
    listed = ", ".join(f"'{name}'" for name in names)
    look = f"SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name IN ({listed})"  # noqa: S608
    (rows,) = await database.run((Statement(look, writes=False), {}))
    return frozenset(str(row["name"]) for row in rows)


async def _rows(database: Database, table: str) -> frozenset[str]:
    (rows,) = await database.run((Statement(f"SELECT version_num FROM {table}", writes=False), {}))  # noqa: S608
    return frozenset(str(row["version_num"]) for row in rows)


def script(revisions: Sequence[PlainRevision], target: str) -> str:
    """The SQL that brings an empty database to this revision."""
    pending = _pending(revisions, None, target)
    statements = [_VERSIONS.strip(), *(sql for revision in pending for sql in revision.statements)]
    statements.append(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{pending[-1].id}')")  # noqa: S608
    return "".join(f"{sql};\n\n" for sql in ("BEGIN", *statements, "COMMIT"))


def _leave(revision: str | None, *, moves: bool) -> list[str]:
    if moves:
        return [f"DROP TABLE {EARLIER_TABLE}"]
    return [] if revision is None else [f"DELETE FROM {VERSION_TABLE} WHERE version_num = '{revision}'"]  # noqa: S608


def _pending(revisions: Sequence[PlainRevision], current: str | None, target: str) -> list[PlainRevision]:
    ids = [revision.id for revision in revisions]
    if target not in ("head", "heads", *ids):
        raise ProjectError(f"there is no revision {target!r}; there are {', '.join(ids)}")
    if current is not None and current not in ids:
        raise ProjectError(
            f"the database is at the revision {current}, which is not among those of the project "
            f"({ids[0]} to {ids[-1]}): it belongs to another project, another branch or a newer release"
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
