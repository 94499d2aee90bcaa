"""The tables of the database, from the metadata of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator

from server_jobs.schema import metadata
from sqlalchemy import CheckConstraint, Column, Index, Table
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.schema import DefaultClause

from ..markdown import code, codes, table

_POSTGRESQL: Dialect = URL.create("postgresql+psycopg").get_dialect()()
_SQLITE: Dialect = URL.create("sqlite").get_dialect()()


def details() -> str:
    """Return a section per table: columns, checks and indexes."""
    return "\n".join("\n".join(_section(one)) for one in metadata.tables.values())


def _section(one: Table) -> Iterator[str]:
    yield f"## {one.name}\n"
    yield f"{one.info['doc']}\n"
    yield table(("Column", "PostgreSQL", "SQLite, Turso, D1", "NULL", "Default", "Meaning"), map(_column, one.columns))
    checks = sorted(str(check.sqltext) for check in one.constraints if isinstance(check, CheckConstraint))
    if checks:
        yield "Checks:\n"
        yield from (f"- {code(check)}" for check in checks)
        yield ""
    if one.indexes:
        yield table(("Index", "Columns", "Rows"), map(_index, sorted(one.indexes, key=lambda index: str(index.name))))


def _column(one: Column[object]) -> tuple[str, ...]:
    is_nullable = "yes" if one.nullable else "no"
    types = (_type(one, dialect) for dialect in (_POSTGRESQL, _SQLITE))
    return code(one.name), *types, is_nullable, _default(one), one.doc or ""


def _type(one: Column[object], dialect: Dialect) -> str:
    """Return the type by its usual name. SQLite calls every integer `integer`."""
    kind, collate, collation = one.type.compile(dialect).partition(" COLLATE ")
    names = {"TIMESTAMP WITH TIME ZONE": "timestamptz"} if dialect is _POSTGRESQL else {"BIGINT": "integer"}
    return code(names.get(kind, kind.lower()) + collate.lower() + collation)


def _default(one: Column[object]) -> str:
    default = one.server_default
    return code(default.arg) if isinstance(default, DefaultClause) else ""


def _index(one: Index) -> tuple[str, str, str]:
    where = one.dialect_options["postgresql"].get("where")
    unique = ", unique" if one.unique else ""
    return code(one.name) + unique, codes(_indexed(one)), "all" if where is None else code(where)


def _indexed(one: Index) -> list[str]:
    """Return the columns with their order, from the statement that creates the index."""
    statement = str(CreateIndex(one).compile(dialect=_POSTGRESQL))
    inside = statement.partition("(")[2].partition(")")[0]
    return [part.strip() for part in inside.split(",")]
