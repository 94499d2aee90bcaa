"""Read the recorded revisions with SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect

from .recorded import APPLICATION_TABLE, VERSION_TABLE, Recorded, recorded_in


def recorded(connection: Connection) -> Recorded:
    """Return the revisions that ran in this database."""
    return recorded_in(_read(connection, VERSION_TABLE), _read(connection, APPLICATION_TABLE))


def _read(connection: Connection, name: str) -> frozenset[str]:
    if not inspect(connection).has_table(name):
        return frozenset()
    return frozenset(connection.execute(_table(name).select()).scalars())


def _table(name: str) -> Table:
    """Return the table as Alembic creates it."""
    return Table(
        name,
        MetaData(),
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name=f"{name}_pkc"),
    )
