"""Every revision as plain SQL, for databases that Alembic cannot connect to, and for readers of SQL."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

from server_jobs.project import Project

from ..files.generated_file import File, Ownership
from ..outputs import sql_forms
from .declared_state import DIALECTS
from .existing_state import offline_statements, sqlite_statements
from .history import CHECKSUM, VIEWS, Revision, checksum, sql_paths

_LEADING_TAB = re.compile(r"^\t", re.MULTILINE)
_TRAILING_SPACE = re.compile(r"[ \t]+$", re.MULTILINE)


def sql_files(project: Project, revisions: Sequence[Revision], kept: Container[str] = ()) -> Iterator[File]:
    """Yield the flat SQL of each revision, for each kind of `sql_paths`, unless all its files are `kept`."""
    wanted = [one for one in revisions if not all(path in kept for path in sql_paths(project, one).values())]
    on_sqlite = sqlite_statements(revisions, [one for one in wanted if one.label != VIEWS])
    for revision in wanted:
        dialects = DIALECTS if revision.label == VIEWS else ("postgresql",)
        statements = {"sqlite": on_sqlite.get(revision.id, []), **offline_statements(revision, dialects)}
        texts = {kind: _script(revision, statements[kind]) for kind in ("sqlite", "postgresql")}
        for name, form in sql_forms(project).items():
            text = _script(revision, [*map(form.statement, statements["sqlite"])])
            # Share one text between equal files, because the texts can be large.
            texts[name] = texts["sqlite"] if text == texts["sqlite"] else text
        for kind, path in sql_paths(project, revision).items():
            yield File(path, texts[kind], Ownership.APPENDED)


def _script(revision: Revision, statements: Sequence[str]) -> str:
    head = f"-- {revision.id} as plain SQL. If Alembic is to take over later: alembic stamp {revision.id}\n"
    # A Durable Object rejects a script without a statement.
    body = "\n" + "\n".join(f"{_tidy(statement)};\n" for statement in statements or ["SELECT 1"])
    if not revision.digest:
        return f"{head}{body}"
    return f"{head}-- Follows: {', '.join(revision.parents) or 'nothing'}\n{CHECKSUM}{checksum(body)}\n{body}"


def _tidy(statement: str) -> str:
    return _TRAILING_SPACE.sub("", _LEADING_TAB.sub("    ", statement.strip()))
