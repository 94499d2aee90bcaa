"""What revisions do, found out by running them: on SQLite in memory, and offline where no database is needed for it."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from server_jobs.errors import ProjectError
from sqlalchemy import ClauseElement, Connection, Select, create_engine, event
from sqlalchemy.schema import ExecutableDDLElement

from .history import VIEWS, Revision, ancestors


@contextmanager
def replayed(
    revisions: Iterable[Revision], seen: Callable[[Revision, str], None] | None = None
) -> Iterator[Connection]:
    """A connection to a SQLite database in memory after these revisions; `seen` is told every statement they run.

    There are no views in it: nothing here asks for them, and thousands take long to make. Raises `ProjectError` when a
    revision cannot be run.
    """
    # With positional parameters the dialect would take some values for parameters. No statement comes twice.
    engine = create_engine("sqlite://", paramstyle="named", query_cache_size=0)
    try:
        with engine.connect() as connection:
            for revision in revisions:
                if revision.label == VIEWS:
                    continue
                context = MigrationContext.configure(connection)
                with _listening(connection, revision, seen), _told(revision), Operations.context(context):
                    _upgrade_of(revision)()
            yield connection
    finally:
        engine.dispose()


def sqlite_statements(revisions: Sequence[Revision], wanted: Sequence[Revision]) -> Mapping[str, list[str]]:
    """Return what each wanted one of these revisions executes on SQLite, by id: what was run, with its values in place.

    Those that a wanted one follows are run as well, since they made what it changes; those of other branches are not.
    None of views is among the wanted ones: their statements are known without a database.
    """
    made: dict[str, list[str]] = {}
    for last in reversed(wanted):
        if last.id in made:
            continue
        until = ancestors(revisions, [last.id])
        made = {**_ran(until), **made}
    return {one.id: made[one.id] for one in wanted}


def _ran(revisions: Sequence[Revision]) -> dict[str, list[str]]:
    ran: dict[str, list[str]] = {one.id: [] for one in revisions}
    with replayed(revisions, lambda revision, sql: ran[revision.id].append(sql)):
        return ran


def offline_statements(revision: Revision, dialects: Sequence[str]) -> dict[str, list[str]]:
    """What one revision executes on each of PostgreSQL and SQLite, as Alembic writes it without a database.

    On SQLite that is for views only: a table that changes there is copied, for which Alembic has to look at it.
    """
    with _told(revision):
        upgrade = _upgrade_of(revision)
        return {dialect: _written(upgrade, dialect) for dialect in dialects}


def _written(upgrade: Callable[[], None], dialect: str) -> list[str]:
    output = _Statements()
    # With its usual parameters the dialect would double every percent sign.
    context = MigrationContext.configure(
        dialect_name=dialect,
        dialect_opts={"paramstyle": "named"},
        opts={"as_sql": True, "output_buffer": output, "literal_binds": True},
    )
    if dialect == "postgresql":
        # SQLAlchemy 2.0 doubles backslashes until a server says not to, as every one has done since PostgreSQL 9.1.
        vars(context.dialect)["_backslash_escapes"] = False
    with Operations.context(context):
        upgrade()
    return output.statements


class _Statements(StringIO):
    """Alembic writes one statement at a time, with its semicolon."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[str] = []

    def write(self, text: str) -> int:
        self.statements.append(text.strip().removesuffix(";"))
        return len(text)


def _upgrade_of(revision: Revision) -> Callable[[], None]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / revision.file_name
        path.write_text(revision.text, encoding="utf-8")
        upgrade: Callable[[], None] = runpy.run_path(str(path))["upgrade"]
        return upgrade


@contextmanager
def _told(revision: Revision) -> Iterator[None]:
    """A revision is Python code that may have been edited: whatever it raises is about that file."""
    try:
        yield
    except Exception as error:
        raise ProjectError(f"the revision {revision.file_name} cannot be run: {error}") from error


@contextmanager
def _listening(
    connection: Connection, revision: Revision, seen: Callable[[Revision, str], None] | None
) -> Iterator[None]:
    def before_execute(_: Connection, element: ClauseElement, *_others: object) -> None:
        if seen is not None and not isinstance(element, Select):
            sql = _sql(connection, element)
            if not sql.startswith("SELECT "):
                seen(revision, sql)

    event.listen(connection, "before_execute", before_execute)
    try:
        yield
    finally:
        event.remove(connection, "before_execute", before_execute)


def _sql(connection: Connection, element: ClauseElement) -> str:
    values = {} if isinstance(element, ExecutableDDLElement) else {"literal_binds": True}
    return str(element.compile(dialect=connection.dialect, compile_kwargs=values))
