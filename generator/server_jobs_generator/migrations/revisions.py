"""Make new revisions where the tables, the declared schedules or the views differ from the existing revisions.

If a table is rebuilt or loses a column, an earlier revision drops the views first. After a merge the history has
several heads, and the first new revision follows all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from textwrap import dedent
from typing import Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import (
    AddColumnOp,
    CreateIndexOp,
    CreateTableOp,
    DowngradeOps,
    DropColumnOp,
    DropIndexOp,
    DropTableOp,
    MigrateOperation,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from black import Mode, format_str
from black.mode import TargetVersion
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.schema import Timestamp, include_name, is_current_time, jobs, metadata
from sqlalchemy import Connection

from ..python.code import WIDTH, Code, Group, Text, lay_out, literal, one_a_line, render, text_block, tuple_of
from .declared_state import DIALECTS, Objects
from .existing_state import (
    Rows,
    replayed,
    stored_objects,
    stored_schedules,
    unsettled_objects,
    unsettled_rows,
    without_views,
)
from .history import MERGE, SCHEDULES, TABLES, VIEWS, Revision, draft_id, heads
from .sql_objects import Key, changes

_ALEMBIC_NOTE = re.compile(r"^\s*# ###.*\n?", re.MULTILINE)

_VERBS = ("add", "change", "remove")
Changes = UpgradeOps | DowngradeOps


def new_revisions(
    history: Sequence[Revision], declared: Rows, wanted: Objects, fingerprint: str = "", project_name: str = ""
) -> list[Revision]:
    """Return the revisions that lead from `history` to today's tables, these schedules, and these views.

    The last one has the `fingerprint` of that state, so that the next run can skip the databases. The first revision
    contains the project's name, so all ids depend on it: a database of one project rejects the revisions of another.
    """
    tips = heads(history)
    new = _New(tips)
    with replayed(history) as connection:
        tables = _tables_script(connection)
        stored = stored_schedules(connection) if history else {}
    objects = stored_objects(history)
    rows, unsure = unsettled_rows(history, tips), unsettled_objects(history, tips)
    if tables is not None:
        rebuilds_jobs = _rebuilds_jobs(tables)
        if rebuilds_jobs:
            bare = without_views(objects)
            new.add(views_revision(new.parents, "Drop the views before changes of tables", objects, bare, unsure))
            objects, unsure = bare, {}
        title = "Change the tables" if new.parents else f"Create the tables of {project_name}".removesuffix(" of ")
        new.add(_tables_revision(new.parents, title, tables, rebuilds_jobs=rebuilds_jobs))
    if rows or stored != declared:
        new.add(_schedules_revision(new.parents, stored, declared, rows))
    new.add(views_revision(new.parents, "Make the views of the jobs", objects, wanted, unsure))
    if len(new.parents) > 1:
        new.add(_merge_revision(new.parents))
    return [*new.revisions[:-1], *(last.leading_to(fingerprint) for last in new.revisions[-1:])]


class _New:
    """The appended revisions; `parents` are the parents of the next one."""

    def __init__(self, parents: tuple[Revision, ...]) -> None:
        self.parents = parents
        self.revisions: list[Revision] = []

    def add(self, revision: Revision | None) -> None:
        if revision is not None:
            self.revisions.append(revision)
            self.parents = (revision,)


def _tables_script(connection: Connection) -> MigrationScript | None:
    """Return the script that changes the tables to the current schema; None if they match."""
    options = {"target_metadata": metadata, "include_name": include_name}
    context = MigrationContext.configure(connection, opts=options)
    script = produce_migrations(context, metadata)
    upgrade = script.upgrade_ops
    return None if upgrade is None or upgrade.is_empty() else script


def _rebuilds_jobs(script: MigrationScript) -> bool:
    """Return whether views must be dropped: SQLite rebuilds the table for any change except new columns and indexes."""
    changes = [*(script.upgrade_ops.ops if script.upgrade_ops else ())]
    return any(
        isinstance(change, ModifyTableOps)
        and change.table_name == jobs.name
        and not all(isinstance(operation, CreateIndexOp | DropIndexOp) for operation in change.ops)
        for change in changes
    )


def _tables_revision(
    parents: Sequence[Revision], title: str, script: MigrationScript, *, rebuilds_jobs: bool
) -> Revision:
    both = [one for one in (script.upgrade_ops, script.downgrade_ops) if one is not None]
    bodies = [guarded_code(one, _code) if parents else _code(one, in_batches=False) for one in both]
    text = render(
        "revision_tables.py.jinja",
        **_revision_head(parents, title),
        has_times=any("TIMESTAMP" in body for body in bodies),
        sqlite_now=SQLITE_NOW if any("now()" in body for body in bodies) else None,
        helpers={
            f"{verb}_{noun}": any(f"if {verb}_{noun}(" in body for body in bodies)
            for verb in ("has", "lacks")
            for noun in ("table", "column", "index")
        },
        rebuilds_jobs=rebuilds_jobs,
        upgrade=_body(bodies[0]),
        downgrade=_body(bodies[1]),
    )
    # Alembic does not format code. The formatter is installed with the generator of models.
    mode = Mode(line_length=WIDTH, target_versions={TargetVersion.PY311})
    return Revision.of(_number_after(parents), TABLES, format_str(text, mode=mode))


def _body(code: str) -> list[Code]:
    return [Code(line) for line in code.splitlines()]


def _code(operations: UpgradeOps | DowngradeOps, *, in_batches: bool = True) -> str:
    """Render operations. SQLite changes a table by copying it, in an Alembic batch; new tables need no batch."""
    code = render_python_code(operations, render_as_batch=in_batches, render_item=_render_item)
    return dedent(_ALEMBIC_NOTE.sub("", code)).strip()


def _render_item(_type: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    if is_current_time(item):
        return "now()"
    return "TIMESTAMP" if isinstance(item, Timestamp) else False


def _schedules_revision(parents: Sequence[Revision], stored: Rows, declared: Rows, unsure: Set[str]) -> Revision:
    upgrade = list(_changes(stored, declared, unsure))
    downgrade = list(_changes(declared, stored, unsure))
    text = render(
        "revision_schedules.py.jinja",
        **_revision_head(parents, "Store the schedules of the specs"),
        upgrade=upgrade,
        downgrade=downgrade,
        **{f"{verb}s": any(line.startswith(f"{verb}(") for line in (*upgrade, *downgrade)) for verb in _VERBS},
    )
    return Revision.of(_number_after(parents), SCHEDULES, text)


def _merge_revision(parents: Sequence[Revision]) -> Revision:
    text = render("revision_merge.py.jinja", **_revision_head(parents, "Join revisions of several branches"))
    return Revision.of(_number_after(parents), MERGE, text)


def _changes(before: Rows, after: Rows, unsure: Set[str]) -> Iterator[Code]:
    """Yield calls that change one set of schedules into the other, with removals first, because they may free a name.

    An `unsure` row may exist or not, with any values.
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


def _number_after(parents: Sequence[Revision]) -> int:
    """Return the number of a revision that follows these."""
    return max((parent.number for parent in parents), default=0) + 1


def _revision_head(parents: Sequence[Revision], title: str) -> dict[str, Code]:
    """Return the values for the templates of revisions: the title, a draft of the id, and the parents."""
    ids = [Code(parent.id) for parent in parents]
    return {
        "title": Code(title),
        "revision": Code(draft_id(_number_after(parents))),
        "revises": Code(", ".join(ids) or "nothing"),
        "down_revision": _down_revision(ids),
        "branch_labels": Code("None") if ids else Code('("server_jobs",)'),
    }


def _down_revision(ids: Sequence[Code]) -> Code:
    if len(ids) > 1:
        return lay_out(tuple_of([literal(one) for one in ids]), 0, len("down_revision = "))
    return literal(ids[0]) if ids else Code("None")


def views_revision(
    parents: Sequence[Revision],
    title: str,
    before: Objects,
    wanted: Objects,
    unsettled: Mapping[str, Set[Key]],
) -> Revision | None:
    """Return the revision that follows these; None if nothing has to change."""
    directions = {"UPGRADE": (before, wanted), "DOWNGRADE": (wanted, before)}
    lists = [
        (
            Code(f"{direction}_{dialect.upper()}"),
            [*map(text_block, changes(old[dialect], new[dialect], unsettled.get(dialect, frozenset())))],
        )
        for direction, (old, new) in directions.items()
        for dialect in DIALECTS
    ]
    if not any(statements for _, statements in lists):
        return None
    is_wide = any(
        len(line) > WIDTH
        for _, statements in lists
        for statement in statements
        for line in f"    {statement},".splitlines()
    )
    text = render("revision_views.py.jinja", **_revision_head(parents, title), lists=lists, is_wide=is_wide)
    return Revision.of(_number_after(parents), VIEWS, text)


def guarded_code(changes: Changes, code: Callable[[Changes], str]) -> str:
    """Return the code of these changes, from `code`, with a condition around each change that fails the second time."""
    return "\n".join(_guarded(one, code(type(changes)([one]))) for one in _single(changes.ops))


def _single(operations: Sequence[MigrateOperation]) -> Iterator[MigrateOperation]:
    """Yield single changes. Repeatable ones stay together, because SQLite copies the table for them."""
    for one in operations:
        if not isinstance(one, ModifyTableOps):
            yield one
            continue
        repeatable = [each for each in one.ops if not _condition(each)]
        yield from (ModifyTableOps(one.table_name, [each], schema=one.schema) for each in one.ops if _condition(each))
        if repeatable:
            yield ModifyTableOps(one.table_name, repeatable, schema=one.schema)


def _guarded(operation: MigrateOperation, code: str) -> str:
    inner = operation.ops[0] if isinstance(operation, ModifyTableOps) else operation
    condition = _condition(inner)
    if not condition:
        return code
    body = "\n".join(f"    {line}" for line in code.splitlines())
    return f"if {condition}:\n{body}"


def _condition(operation: object) -> str:
    match operation:
        case CreateTableOp():
            return f"lacks_table({literal(operation.table_name)})"
        case DropTableOp():
            return f"has_table({literal(operation.table_name)})"
        case AddColumnOp():
            return f"lacks_column({literal(operation.table_name)}, {literal(operation.column.name)})"
        case DropColumnOp():
            return f"has_column({literal(operation.table_name)}, {literal(operation.column_name)})"
        case CreateIndexOp():
            return f"lacks_index({literal(operation.table_name)}, {literal(str(operation.index_name))})"
        case DropIndexOp():
            return f"has_index({literal(str(operation.table_name))}, {literal(str(operation.index_name))})"
        case _:
            return ""
