"""New revisions: where the tables, the declared schedules or the views differ from what the existing ones make.

Views stand in the way when the table of jobs is made anew or loses a column; they are dropped by a revision before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateIndexOp, DowngradeOps, DropIndexOp, MigrationScript, ModifyTableOps, UpgradeOps
from black import Mode, format_str
from black.mode import TargetVersion
from server_jobs.schema import Timestamp, cron_jobs, include_name, jobs, metadata
from sqlalchemy import Connection, inspect, null, select

from .history import Revision
from .layout import WIDTH, Code, Group, Text, lay_out, one_a_line
from .render import render
from .replay import replayed
from .revision_head import revision_head
from .schedule_rows import ScheduleRow
from .sql_views.objects import Objects
from .sql_views.revision import views_revision
from .sql_views.stored import stored_objects, without_views

_ALEMBIC_NOTE = re.compile(r"^\s*# ###.*\n?", re.MULTILINE)


def new_revisions(history: Sequence[Revision], declared: Mapping[str, ScheduleRow], wanted: Objects) -> list[Revision]:
    """What has to be appended to `history` so that it leads to today's tables, these schedules by id, these views."""
    appended: list[Revision] = []
    with replayed(history) as connection:
        tables = _tables_script(connection)
        stored = _stored_schedules(connection) if history else {}
    objects = stored_objects(history)
    if tables is not None:
        if _makes_jobs_anew(tables):
            bare = without_views(objects)
            appended += views_revision(len(history) + 1, "Drop what stands in the way of new tables", objects, bare)
            objects = bare
        appended.append(_tables_revision(len(history) + len(appended) + 1, tables))
    if stored != declared:
        appended.append(_schedules_revision(len(history) + len(appended) + 1, stored, declared))
    appended += views_revision(len(history) + len(appended) + 1, "Make the views of the jobs", objects, wanted)
    return appended


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


def _tables_revision(number: int, script: MigrationScript) -> Revision:
    both = (script.upgrade_ops, script.downgrade_ops)
    bodies = [_body(operations, in_batches=number > 1) for operations in both if operations is not None]
    text = render(
        "revision_tables.py.jinja",
        **revision_head(number, "Create the tables" if number == 1 else "Change the tables"),
        has_times=any("TIMESTAMP" in body for body in bodies),
        upgrade=Code(bodies[0]),
        downgrade=Code(bodies[1]),
    )
    # Alembic lays out nothing; the formatter comes with the generator of models.
    mode = Mode(line_length=WIDTH, target_versions={TargetVersion.PY311})
    return Revision(number, "tables", format_str(text, mode=mode))


def _body(operations: UpgradeOps | DowngradeOps, *, in_batches: bool) -> str:
    """SQLite changes a table by copying it, which Alembic calls a batch; to create tables none is needed."""
    code = render_python_code(operations, render_as_batch=in_batches, render_item=_render_item)
    return _ALEMBIC_NOTE.sub("", code).strip()


def _render_item(_type: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    return "TIMESTAMP" if isinstance(item, Timestamp) else False


def _stored_schedules(connection: Connection) -> dict[str, ScheduleRow]:
    """The schedules that the revisions so far leave in the database."""
    if not inspect(connection).has_table(cron_jobs.name):
        return {}
    existing = {column["name"] for column in inspect(connection).get_columns(cron_jobs.name)}
    # A column that the revisions so far do not have yet will hold NULL.
    columns = [cron_jobs.c[name] if name in existing else null() for name in ("id", *ScheduleRow._fields)]
    return {row[0]: ScheduleRow._make(row[1:]) for row in connection.execute(select(*columns))}


def _schedules_revision(
    number: int, stored: Mapping[str, ScheduleRow], declared: Mapping[str, ScheduleRow]
) -> Revision:
    upgrade = list(_changes(stored, declared))
    downgrade = list(_changes(declared, stored))
    text = render(
        "revision_schedules.py.jinja",
        **revision_head(number, "Store the schedules of the specs"),
        upgrade=upgrade,
        downgrade=downgrade,
        **{f"{verb}s": any(line.startswith(f"{verb}(") for line in (*upgrade, *downgrade)) for verb in _VERBS},
    )
    return Revision(number, "schedules", text)


_VERBS = ("add", "change", "remove")


def _changes(before: Mapping[str, ScheduleRow], after: Mapping[str, ScheduleRow]) -> Iterator[Code]:
    """Calls that lead from one set of schedules to the other; removals first, since they may free a name."""
    for schedule_id in sorted(before.keys() - after.keys(), key=before.__getitem__):
        yield _statement("remove", ("", schedule_id))
    for schedule_id in sorted(after, key=after.__getitem__):
        new, old = after[schedule_id]._asdict(), before[schedule_id]._asdict() if schedule_id in before else {}
        changed = [(f"{key}=", value) for key, value in new.items() if old.get(key) != value]
        if not old:
            yield _statement("add", ("id=", schedule_id), *changed)
        elif changed:
            yield _statement("change", ("", schedule_id), *changed)


def _statement(verb: str, *arguments: tuple[str, str | int | None]) -> Code:
    items = tuple((prefix, Text(value) if isinstance(value, str) else Code(value)) for prefix, value in arguments)
    group = Group(f"{verb}(", items, packed=True)
    return lay_out(one_a_line(group) if len(items) > 1 else group, 4, 4)
