"""Changes of tables as code that may run a second time: another branch may have made the same change already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from alembic.operations.ops import (
    AddColumnOp,
    CreateIndexOp,
    CreateTableOp,
    DowngradeOps,
    DropColumnOp,
    DropIndexOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)

from ..python.code import literal

Changes = UpgradeOps | DowngradeOps


def guarded_code(changes: Changes, code: Callable[[Changes], str]) -> str:
    """Return the code of these changes, as `code` renders each, below a condition where a second run would fail."""
    return "\n".join(_guarded(one, code(type(changes)([one]))) for one in _single(changes.ops))


def _single(operations: Sequence[MigrateOperation]) -> Iterator[MigrateOperation]:
    """Each change by itself; those that can be repeated stay together, as SQLite copies the table for them."""
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
