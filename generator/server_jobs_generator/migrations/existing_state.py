"""The state that existing revisions leave: schedules and tables on SQLite in memory, views from their statements."""

from __future__ import annotations

import re
import runpy
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import permutations
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from server_jobs.errors import ProjectError
from server_jobs.schema import cron_jobs
from sqlalchemy import ClauseElement, Connection, Select, create_engine, event, inspect, null, select
from sqlalchemy.schema import ExecutableDDLElement

from .declared_state import DIALECTS, Objects, ScheduleRow
from .history import SCHEDULES, VIEWS, Revision, ancestors
from .sql_objects import VIEW, Key, SqlObject, after, touched

Rows = Mapping[str, ScheduleRow]
"""Schedules by row id."""

_ROW_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@contextmanager
def replayed(
    revisions: Iterable[Revision], seen: Callable[[Revision, str], None] | None = None
) -> Iterator[Connection]:
    """Yield a connection to a SQLite database in memory after these revisions. Calls `seen` with each statement.

    The database has no views: no caller needs them, and thousands take long to create. Raises `ProjectError` if a
    revision cannot be run.
    """
    # With positional parameters the dialect would read some values as parameters. Each statement is unique.
    engine = create_engine("sqlite://", paramstyle="named", query_cache_size=0)
    try:
        with engine.connect() as connection:
            for revision in revisions:
                if revision.label == VIEWS:
                    continue
                context = MigrationContext.configure(connection)
                with _listening(connection, revision, seen), _naming_file(revision), Operations.context(context):
                    _upgrade_of(revision)()
            yield connection
    finally:
        engine.dispose()


def sqlite_statements(revisions: Sequence[Revision], wanted: Sequence[Revision]) -> Mapping[str, list[str]]:
    """Return the statements that each wanted revision executes on SQLite, by id, with their values inlined.

    Each of them runs after its ancestors, whose tables it changes, and without revisions of other branches. `wanted`
    must have no revision of views: the statements of views are known without a database.
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
    """Return the statements of one revision on PostgreSQL and SQLite, as Alembic writes them without a database.

    On SQLite this works for views only: to change a table, Alembic copies it and has to read it first.
    """
    with _naming_file(revision):
        upgrade = _upgrade_of(revision)
        return {dialect: _written(upgrade, dialect) for dialect in dialects}


def _written(upgrade: Callable[[], None], dialect: str) -> list[str]:
    output = _Statements()
    # With its default parameter style, the dialect would double every percent sign.
    context = MigrationContext.configure(
        dialect_name=dialect,
        dialect_opts={"paramstyle": "named"},
        opts={"as_sql": True, "output_buffer": output, "literal_binds": True},
    )
    if dialect == "postgresql":
        # SQLAlchemy 2.0 doubles backslashes until a server says otherwise, and every server since PostgreSQL 9.1 does.
        vars(context.dialect)["_backslash_escapes"] = False
    with Operations.context(context):
        upgrade()
    return output.statements


class _Statements(StringIO):
    """Collects statements, because Alembic writes one at a time, with its semicolon."""

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
def _naming_file(revision: Revision) -> Iterator[None]:
    """Report any error of a revision with its file, because a revision is Python code that users may edit."""
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


def stored_schedules(connection: Connection) -> dict[str, ScheduleRow]:
    """Return the schedules that the revisions of this connection left, by row id."""
    if not inspect(connection).has_table(cron_jobs.name):
        return {}
    existing = {column["name"] for column in inspect(connection).get_columns(cron_jobs.name)}
    # A column that no revision has added yet will be NULL.
    columns = [cron_jobs.c[name] if name in existing else null() for name in ("id", *ScheduleRow._fields)]
    return {row[0]: ScheduleRow._make(row[1:]) for row in connection.execute(select(*columns))}


def stored_objects(history: Sequence[Revision]) -> Objects:
    """Return the objects that the revisions leave, by dialect. Raises `ProjectError` if one cannot be run."""
    objects: Objects = dict.fromkeys(DIALECTS, ())
    for revision in history:
        if revision.label == VIEWS:
            made = offline_statements(revision, DIALECTS)
            objects = {
                dialect: after([*(one.create for one in objects[dialect]), *made[dialect]]) for dialect in DIALECTS
            }
    return objects


def _touched_objects(revisions: Iterable[Revision]) -> dict[str, set[Key]]:
    """Return the objects that these revisions create or drop, by dialect."""
    found: dict[str, set[Key]] = {dialect: set() for dialect in DIALECTS}
    for revision in revisions:
        if revision.label == VIEWS:
            for dialect, statements in offline_statements(revision, DIALECTS).items():
                found[dialect] |= {key for key in map(touched, statements) if key is not None}
    return found


def without_views(objects: Objects) -> Objects:
    """Return the objects that may stay while the table of jobs changes. On SQLite, indexes vanish with the table."""
    return {
        "sqlite": (),
        "postgresql": tuple(one for one in objects["postgresql"] if one.key[0] != VIEW),
    }


def unsettled_rows(history: Sequence[Revision], tips: Sequence[Revision]) -> set[str]:
    """Return the ids of unsettled schedules, if `history` has several heads (`tips`)."""
    if len(tips) < 2:
        return set()
    left = {tip.id: _rows_of(ancestors(history, [tip.id])) for tip in tips}
    return {
        row
        for one, other in permutations(tips, 2)
        for row in _touched_rows(_only(history, one, other)) & _touched_rows(_only(history, other, one))
        if left[one.id].get(row) != left[other.id].get(row)
    }


def unsettled_objects(history: Sequence[Revision], tips: Sequence[Revision]) -> dict[str, set[Key]]:
    """Return the unsettled views, indexes and functions by dialect."""
    if len(tips) < 2:
        return {}
    found: dict[str, set[Key]] = {dialect: set() for dialect in DIALECTS}
    left = {tip.id: stored_objects(ancestors(history, [tip.id])) for tip in tips}
    for one, other in permutations(tips, 2):
        touched = [_touched_objects(_only(history, *pair)) for pair in ((one, other), (other, one))]
        for dialect in DIALECTS:
            ours, theirs = (_by_key(left[tip.id][dialect]) for tip in (one, other))
            both = touched[0][dialect] & touched[1][dialect]
            found[dialect] |= {key for key in both if ours.get(key) != theirs.get(key)}
    return found


def _only(history: Sequence[Revision], one: Revision, other: Revision) -> Iterator[Revision]:
    """Yield the revisions that lead to one head but not to the other."""
    shared = {revision.id for revision in ancestors(history, [other.id])}
    return (revision for revision in ancestors(history, [one.id]) if revision.id not in shared)


def _rows_of(history: Sequence[Revision]) -> Rows:
    with replayed(history) as connection:
        return stored_schedules(connection)


def _touched_rows(revisions: Iterator[Revision]) -> set[str]:
    """Return the ids in revisions of schedules. An id inside params does no harm."""
    return {row for one in revisions if one.label == SCHEDULES for row in _ROW_ID.findall(one.text)}


def _by_key(objects: Sequence[SqlObject]) -> dict[Key, SqlObject]:
    return {one.key: one for one in objects}
