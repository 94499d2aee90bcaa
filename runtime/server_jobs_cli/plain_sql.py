"""Migrations of a database of a plug-in: execute the generated plain SQL, because Alembic cannot connect to it.

The revision is recorded in Alembic's table, so that Alembic can continue on a copy in a file.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from server_jobs.databases.opening import is_built_in
from server_jobs.domain.interfaces import Database, Statement
from server_jobs.domain.table_names import TABLES
from server_jobs.errors import DatabaseError, ProjectError
from server_jobs.migrations.recorded import APPLICATION_TABLE, VERSION_TABLE, Recorded, recorded_in

from .console.workspace import Workspace

_FILE = re.compile(r"(?P<id>\d{4}_[0-9a-f]{8})_(?P<label>\w+)\.sql")
_PARENTS = re.compile(r"^-- Follows: (.*)$", re.MULTILINE)
_ADDED_COLUMN = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+)")
_VERSIONS = f"""
CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)
)
"""


@dataclass(frozen=True, slots=True)
class PlainRevision:
    """One revision as plain SQL: id, description, the revisions before it, and statements."""

    id: str
    description: str
    parents: tuple[str, ...]
    statements: tuple[str, ...]


def needs_plain_sql(workspace: Workspace) -> bool:
    """Whether Alembic cannot connect to the database. Raises `InvalidOptionError` for an invalid URL."""
    return not is_built_in(workspace.url)


def plain_revisions(workspace: Workspace) -> list[PlainRevision]:
    """Return the revisions of the project, each after the revisions that it follows.

    Raises `ProjectError` if there are none, or if one follows a missing revision.
    """
    project = workspace.required_project()
    folder = project.root / project.output / "migrations/sql/sqlite"
    revisions: list[PlainRevision] = []
    known = set[str]()
    for path in sorted(folder.glob("*.sql")):
        revision = _read(path)
        if revision is None:
            continue
        if not known.issuperset(revision.parents):
            raise ProjectError(f"{folder} has {path.name}, but not the revisions before it; run `server-jobs generate`")
        revisions.append(revision)
        known.add(revision.id)
    if not revisions:
        raise ProjectError(f"there are no migrations yet, {folder} has none; run `server-jobs generate` first")
    return revisions


def newest_revisions(revisions: Sequence[PlainRevision]) -> list[str]:
    """Return the ids of the newest revisions. After a merge there are several, until the next `generate`."""
    followed = {parent for revision in revisions for parent in revision.parents}
    return [revision.id for revision in revisions if revision.id not in followed]


async def recorded(database: Database) -> Recorded:
    """Return the revisions that ran in the database. Raises `DatabaseError`."""
    tables = await _present(database, (VERSION_TABLE, APPLICATION_TABLE))
    own, alembic = (VERSION_TABLE, APPLICATION_TABLE)
    return recorded_in(
        await _rows(database, own) if own in tables else frozenset(),
        await _rows(database, alembic) if alembic in tables else frozenset(),
    )


async def upgrade(database: Database, revisions: Sequence[PlainRevision], target: str) -> list[PlainRevision]:
    """Bring the database to this revision in one transaction, and return the revisions that ran.

    Raises `ProjectError` for an unknown revision. Raises `DatabaseError` and changes nothing if another program's
    tables have our names, or if a statement fails. A revision that another process ran in the meantime does not run
    again.
    """
    await _check_tables(database)
    while True:
        before = await recorded(database)
        pending = _pending(revisions, before.revisions, target)
        if not pending:
            return []
        forgotten = [f"DELETE FROM {VERSION_TABLE} WHERE version_num = '{one}'" for one in sorted(before.revisions)]  # noqa: S608
        statements = [_VERSIONS, *forgotten, *await _missing_statements(database, pending)]
        done = {one.id for one in (*_up_to(revisions, before.revisions), *pending)}
        statements += map(_record, newest_revisions([one for one in revisions if one.id in done]))
        try:
            await database.run(*((Statement(sql, writes=True), {}) for sql in statements))
        except DatabaseError:
            if await recorded(database) == before:
                raise
        else:
            return pending


async def _check_tables(database: Database) -> None:
    """Raise `DatabaseError` if another program's tables have our names, in a database that was never migrated."""
    # Read the tables first: a concurrent migration commits its tables together with its revision.
    taken = await _present(database, TABLES)
    if taken and not (await recorded(database)).revisions:
        raise DatabaseError(
            f"the database has {', '.join(map(repr, sorted(taken)))} already, and no revision of server-jobs is "
            "recorded. Nothing was changed. Use a separate database for server-jobs; if its plain SQL made the tables, "
            "continue with plain SQL"
        )


async def _present(database: Database, names: Sequence[str]) -> frozenset[str]:
    """Return the names that exist as tables or views."""
    listed = ", ".join(f"'{name}'" for name in names)
    look = f"SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name IN ({listed})"  # noqa: S608
    (rows,) = await database.run((Statement(look, writes=False), {}))
    return frozenset(str(row["name"]) for row in rows)


async def _rows(database: Database, table: str) -> frozenset[str]:
    (rows,) = await database.run((Statement(f"SELECT version_num FROM {table}", writes=False), {}))  # noqa: S608
    return frozenset(str(row["version_num"]) for row in rows)


def script(revisions: Sequence[PlainRevision], target: str) -> str:
    """Return the SQL that brings an empty database to this revision."""
    pending = _pending(revisions, (), target)
    statements = [_VERSIONS.strip(), *(sql for revision in pending for sql in revision.statements)]
    statements += map(_record, newest_revisions(pending))
    return "".join(f"{sql};\n\n" for sql in ("BEGIN", *statements, "COMMIT"))


def _record(revision: str) -> str:
    return f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{revision}')"  # noqa: S608


async def _missing_statements(database: Database, pending: Sequence[PlainRevision]) -> list[str]:
    """Return the statements of these revisions, except for columns that a revision of another branch already added."""
    statements = [sql for revision in pending for sql in revision.statements]
    tables = sorted({match[1] for match in map(_ADDED_COLUMN.match, statements) if match})
    looks = [Statement(f"SELECT name FROM pragma_table_info('{table}')", writes=False) for table in tables]  # noqa: S608
    found = await database.run(*((look, {}) for look in looks)) if looks else ()
    columns = {(table, str(row["name"])) for table, rows in zip(tables, found, strict=True) for row in rows}
    return [sql for sql in statements if not ((match := _ADDED_COLUMN.match(sql)) and match.groups() in columns)]


def _pending(revisions: Sequence[PlainRevision], current: Collection[str], target: str) -> list[PlainRevision]:
    ids = [revision.id for revision in revisions]
    named = [one for one in ids if one == target] or [one for one in ids if one.startswith(target)]
    if target not in ("head", "heads") and len(named) != 1:
        raise ProjectError(f"there is no revision {target!r}; there are {', '.join(ids)}")
    if unknown := sorted({*current} - {*ids}):
        raise ProjectError(
            f"the database is at the revision {', '.join(unknown)}, which the project does not have "
            f"({ids[0]} to {ids[-1]}): it belongs to another project, another branch or a newer release"
        )
    done = {revision.id for revision in _up_to(revisions, current)}
    wanted = _up_to(revisions, newest_revisions(revisions) if target in ("head", "heads") else named)
    return [revision for revision in wanted if revision.id not in done]


def _up_to(revisions: Sequence[PlainRevision], ids: Collection[str]) -> list[PlainRevision]:
    """Return these revisions and every revision before them, in order."""
    found, by_id, rest = set[str](), {revision.id: revision for revision in revisions}, [*ids]
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest += by_id[one].parents
    return [revision for revision in revisions if revision.id in found]


def _read(path: Path) -> PlainRevision | None:
    match = _FILE.fullmatch(path.name)
    if match is None:
        return None
    stated = _PARENTS.search(path.read_text(encoding="utf-8"))
    if stated is None:
        raise ProjectError(f"{path} does not say which revision it follows; restore it from version control")
    parents = tuple(one for one in stated[1].split(", ") if one != "nothing")
    return PlainRevision(
        f"server_jobs_{match['id']}", match["label"].replace("_", " "), parents, tuple(_statements(path))
    )


def _statements(path: Path) -> Iterator[str]:
    """Yield the statements of a file, each without its semicolon."""
    statement = ""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("--") and not statement.strip():
            continue
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip().removesuffix(";")
            statement = ""
    if statement.strip():
        raise ProjectError(f"{path} ends in the middle of a statement; restore it from version control")
