"""New revisions: where the tables, the declared schedules or the views differ from what the existing ones make.

Views stand in the way when the table of jobs is made anew or loses a column; they are dropped by a revision before it.
After a merge the history has several heads: the first new revision follows all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from textwrap import dedent
from typing import Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import (
    CreateIndexOp,
    DowngradeOps,
    DropIndexOp,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from black import Mode, format_str
from black.mode import TargetVersion
from server_jobs.schema import Timestamp, cron_jobs, include_name, jobs, metadata
from sqlalchemy import Connection, inspect, null, select

from ..python.code import WIDTH, Code, Group, Text, lay_out, one_a_line
from ..python.template import render
from .history import MERGE, SCHEDULES, TABLES, Revision, heads
from .replay import replayed
from .revision_head import number_after, revision_head
from .schedule_rows import ScheduleRow
from .table_changes import guarded_code
from .unsettled import unsettled_objects, unsettled_rows
from .views.objects import Objects
from .views.revision import views_revision
from .views.stored import stored_objects, without_views

Rows = Mapping[str, ScheduleRow]
"""Schedules by the ids of their rows."""

_ALEMBIC_NOTE = re.compile(r"^\s*# ###.*\n?", re.MULTILINE)


def new_revisions(
    history: Sequence[Revision], declared: Rows, wanted: Objects, fingerprint: str = "", project_name: str = ""
) -> list[Revision]:
    """Return what has to follow `history` so that it leads to today's tables, these schedules, and these views.

    The last one states the `fingerprint` of all that, so that the next run need not look at databases. The name of the
    project becomes a part of the first revision, and so of the ids of all: a database that one project has migrated is
    refused to another one.
    """
    tips = heads(history)
    new = _New(tips)
    with replayed(history) as connection:
        tables = _tables_script(connection)
        stored = stored_schedules(connection) if history else {}
    objects = stored_objects(history)
    rows, unsure = unsettled_rows(history, tips, stored_schedules), unsettled_objects(history, tips)
    if tables is not None:
        makes_jobs_anew = _makes_jobs_anew(tables)
        if makes_jobs_anew:
            bare = without_views(objects)
            new.add(views_revision(new.parents, "Drop what stands in the way of new tables", objects, bare, unsure))
            objects, unsure = bare, {}
        title = "Change the tables" if new.parents else f"Create the tables of {project_name}".removesuffix(" of ")
        new.add(_tables_revision(new.parents, title, tables, makes_jobs_anew=makes_jobs_anew))
    if rows or stored != declared:
        new.add(_schedules_revision(new.parents, stored, declared, rows))
    new.add(views_revision(new.parents, "Make the views of the jobs", objects, wanted, unsure))
    if len(new.parents) > 1:
        new.add(_merge_revision(new.parents))
    return [*new.revisions[:-1], *(last.leading_to(fingerprint) for last in new.revisions[-1:])]


class _New:
    """The revisions that are appended; `parents` are those that the next one follows."""

    def __init__(self, parents: tuple[Revision, ...]) -> None:
        self.parents = parents
        self.revisions: list[Revision] = []

    def add(self, revision: Revision | None) -> None:
        if revision is not None:
            self.revisions.append(revision)
            self.parents = (revision,)


def _tables_script(connection: Connection) -> MigrationScript | None:
    """What makes the tables as they should be, None if they are."""
    options = {"target_metadata": metadata, "include_name": include_name}
    context = MigrationContext.configure(connection, opts=options)
    script = produce_migrations(context, metadata)
    upgrade = script.upgrade_ops
    return None if upgrade is None or upgrade.is_empty() else script


def _makes_jobs_anew(script: MigrationScript) -> bool:
    """Whether views cannot stay: SQLite copies the table for anything but new columns and indexes, back or forth."""
    changes = [*(script.upgrade_ops.ops if script.upgrade_ops else ())]
    return any(
        isinstance(change, ModifyTableOps)
        and change.table_name == jobs.name
        and not all(isinstance(operation, CreateIndexOp | DropIndexOp) for operation in change.ops)
        for change in changes
    )


def _tables_revision(
    parents: Sequence[Revision], title: str, script: MigrationScript, *, makes_jobs_anew: bool
) -> Revision:
    both = [one for one in (script.upgrade_ops, script.downgrade_ops) if one is not None]
    bodies = [guarded_code(one, _code) if parents else _code(one, in_batches=False) for one in both]
    text = render(
        "revision_tables.py.jinja",
        **revision_head(parents, title),
        has_times=any("TIMESTAMP" in body for body in bodies),
        helpers={
            f"{verb}_{noun}": any(f"if {verb}_{noun}(" in body for body in bodies)
            for verb in ("has", "lacks")
            for noun in ("table", "column", "index")
        },
        makes_jobs_anew=makes_jobs_anew,
        upgrade=_body(bodies[0]),
        downgrade=_body(bodies[1]),
    )
    # Alembic lays out nothing; the formatter comes with the generator of models.
    mode = Mode(line_length=WIDTH, target_versions={TargetVersion.PY311})
    return Revision.of(number_after(parents), TABLES, format_str(text, mode=mode))


def _body(code: str) -> list[Code]:
    return [Code(line) for line in code.splitlines()]


def _code(operations: UpgradeOps | DowngradeOps, *, in_batches: bool = True) -> str:
    """SQLite changes a table by copying it, which Alembic calls a batch; to create tables none is needed."""
    code = render_python_code(operations, render_as_batch=in_batches, render_item=_render_item)
    return dedent(_ALEMBIC_NOTE.sub("", code)).strip()


def _render_item(_type: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    return "TIMESTAMP" if isinstance(item, Timestamp) else False


def stored_schedules(connection: Connection) -> dict[str, ScheduleRow]:
    """Return the schedules that the revisions of this connection left, by the ids of their rows."""
    if not inspect(connection).has_table(cron_jobs.name):
        return {}
    existing = {column["name"] for column in inspect(connection).get_columns(cron_jobs.name)}
    # A column that the revisions so far do not have yet will hold NULL.
    columns = [cron_jobs.c[name] if name in existing else null() for name in ("id", *ScheduleRow._fields)]
    return {row[0]: ScheduleRow._make(row[1:]) for row in connection.execute(select(*columns))}


def _schedules_revision(parents: Sequence[Revision], stored: Rows, declared: Rows, unsure: Set[str]) -> Revision:
    upgrade = list(_changes(stored, declared, unsure))
    downgrade = list(_changes(declared, stored, unsure))
    text = render(
        "revision_schedules.py.jinja",
        **revision_head(parents, "Store the schedules of the specs"),
        upgrade=upgrade,
        downgrade=downgrade,
        **{f"{verb}s": any(line.startswith(f"{verb}(") for line in (*upgrade, *downgrade)) for verb in _VERBS},
    )
    return Revision.of(number_after(parents), SCHEDULES, text)


def _merge_revision(parents: Sequence[Revision]) -> Revision:
    text = render("revision_merge.py.jinja", **revision_head(parents, "Join revisions of several branches"))
    return Revision.of(number_after(parents), MERGE, text)


_VERBS = ("add", "change", "remove")


def _changes(before: Rows, after: Rows, unsure: Set[str]) -> Iterator[Code]:
    """Calls that lead from one set of schedules to the other; removals first, since they may free a name.

    A row that is `unsure` may be there or not, with any values.
    """
    known = {one: row for one, row in before.items() if one not in unsure}
    for schedule_id in sorted((before.keys() | unsure) - after.keys()):
        yield _statement("remove", ("", schedule_id))
    for schedule_id in sorted(after, key=after.__getitem__):
        new, old = after[schedule_id]._asdict(), known[schedule_id]._asdict() if schedule_id in known else {}
        changed = [(f"{key}=", value) for key, value in new.items() if old.get(key) != value or not old]
        if not old:
            yield _statement("add", ("id=", schedule_id), *changed)
        elif changed:
            yield _statement("change", ("", schedule_id), *changed)


def _statement(verb: str, *arguments: tuple[str, str | int | None]) -> Code:
    items = tuple((prefix, Text(value) if isinstance(value, str) else Code(value)) for prefix, value in arguments)
    group = Group(f"{verb}(", items, packed=True)
    return lay_out(one_a_line(group) if len(items) > 1 else group, 4, 4)
