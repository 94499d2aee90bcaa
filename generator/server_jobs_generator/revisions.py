"""New revisions: one when the tables differ from what the existing ones make, one when the declared schedules do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import DowngradeOps, UpgradeOps
from black import Mode, format_str
from black.mode import TargetVersion
from server_jobs.schema import Timestamp, cron_jobs, metadata
from sqlalchemy import Connection, inspect, null, select

from .history import Revision, revision_id
from .layout import WIDTH, Code, Group, Text, lay_out, literal, one_a_line
from .render import render
from .replay import replayed
from .schedule_rows import ScheduleRow

_ALEMBIC_NOTE = re.compile(r"^\s*# ###.*\n?", re.MULTILINE)


def new_revisions(history: Sequence[Revision], declared: Mapping[str, ScheduleRow]) -> list[Revision]:
    """What has to be appended to `history` so that it leads to today's tables and to these schedules, by id."""
    appended: list[Revision] = []
    with replayed(history) as connection:
        tables = _tables_revision(len(history) + 1, connection)
        stored = _stored_schedules(connection) if history else {}
    if tables is not None:
        appended.append(tables)
    if stored != declared:
        appended.append(_schedules_revision(len(history) + len(appended) + 1, stored, declared))
    return appended


def _tables_revision(number: int, connection: Connection) -> Revision | None:
    context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
    script = produce_migrations(context, metadata)
    upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
    if upgrade is None or downgrade is None or upgrade.is_empty():
        return None
    bodies = [_body(operations, in_batches=number > 1) for operations in (upgrade, downgrade)]
    text = render(
        "revision_tables.py.jinja",
        **_head(number, "Create the tables" if number == 1 else "Change the tables"),
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
        **_head(number, "Store the schedules of the specs"),
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


def _head(number: int, title: str) -> dict[str, Code]:
    before = Code(revision_id(number - 1)) if number > 1 else None
    return {
        "title": Code(title),
        "revision": Code(revision_id(number)),
        "revises": before or Code("nothing"),
        "down_revision": literal(before) if before else Code("None"),
        "branch_labels": Code("None") if before else Code('("server_jobs",)'),
    }
