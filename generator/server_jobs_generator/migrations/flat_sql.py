"""Every revision as plain SQL, for databases that Alembic cannot connect to, and for readers of SQL."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

from server_jobs.project import Project

from ..files.generated_file import File, Ownership
from .declared_state import DIALECTS
from .existing_state import offline_statements, sqlite_statements
from .history import CHECKSUM, VIEWS, Revision, checksum, sql_paths

_LEADING_TAB = re.compile(r"^\t", re.MULTILINE)
# The table, and the name that Alembic gives its copy when it rebuilds the table.
_JOBS = re.compile(r"\s*CREATE TABLE (_alembic_tmp_)?jobs\b")
_TRAILING_SPACE = re.compile(r"[ \t]+$", re.MULTILINE)
_VIEW = re.compile(r"\s*CREATE VIEW (\w+)")
_DROP = re.compile(r"\s*DROP VIEW (?!IF EXISTS )")
# Each column of a view starts on a new line: see `declared_state`.
_COLUMN = re.compile(r"(?:\bSELECT|,)\n    (?=\S)")
_MOST_COLUMNS, _MOST_BYTES = 100, 100_000  # https://developers.cloudflare.com/d1/platform/limits/


def sql_files(project: Project, revisions: Sequence[Revision], kept: Container[str] = ()) -> Iterator[File]:
    """Yield the flat SQL of each revision, for each kind of `sql_paths`, unless all its files are `kept`."""
    wanted = [one for one in revisions if not all(path in kept for path in sql_paths(project, one).values())]
    on_sqlite = sqlite_statements(revisions, [one for one in wanted if one.label != VIEWS])
    for revision in wanted:
        dialects = DIALECTS if revision.label == VIEWS else ("postgresql",)
        statements = {"sqlite": on_sqlite.get(revision.id, []), **offline_statements(revision, dialects)}
        texts = {kind: _script(revision, statements[kind]) for kind in ("sqlite", "postgresql")}
        if project.worker:
            d1 = _script(revision, [*map(_for_d1, statements["sqlite"])])
            # Share one text between equal files, because the texts can be large.
            texts["d1"] = texts["sqlite"] if d1 == texts["sqlite"] else d1
        for kind, path in sql_paths(project, revision).items():
            yield File(path, texts[kind], Ownership.APPENDED)


def _for_d1(statement: str) -> str:
    """Create the table of jobs without row numbers: D1 charges for each written row, and row numbers need another
    index.

    Leave out views that exceed D1's limits.
    """
    if _JOBS.match(statement):
        return f"{statement.rstrip()} WITHOUT ROWID"
    if match := _VIEW.match(statement):
        count = len(_COLUMN.findall(statement))
        if count > _MOST_COLUMNS or len(statement.encode()) > _MOST_BYTES:
            return f"-- D1 has no {match[1]}: of {count} columns, or {len(statement):,} characters, it takes fewer"
    return statement.replace("DROP VIEW ", "DROP VIEW IF EXISTS ", 1) if _DROP.match(statement) else statement


def _script(revision: Revision, statements: Sequence[str]) -> str:
    head = f"-- {revision.id} as plain SQL. If Alembic is to take over later: alembic stamp {revision.id}\n"
    # A Durable Object rejects a script without a statement.
    body = "\n" + "\n".join(f"{_tidy(statement)};\n" for statement in statements or ["SELECT 1"])
    if not revision.digest:
        return f"{head}{body}"
    return f"{head}-- Follows: {', '.join(revision.parents) or 'nothing'}\n{CHECKSUM}{checksum(body)}\n{body}"


def _tidy(statement: str) -> str:
    return _TRAILING_SPACE.sub("", _LEADING_TAB.sub("    ", statement.strip()))
