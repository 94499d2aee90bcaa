"""The tables of revisions, read and written with SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect

from .recorded import EARLIER_TABLE, VERSION_TABLE, Recorded, recorded_in


def recorded(connection: Connection) -> Recorded:
    """Return the revisions that ran in this database."""
    return recorded_in(_read(connection, VERSION_TABLE), _read(connection, EARLIER_TABLE))


def adopt(connection: Connection) -> None:
    """Move revisions that an earlier release recorded in `alembic_version` to `server_jobs_version`."""
    found = recorded(connection)
    if not found.is_adoptable:
        return
    own = _table(VERSION_TABLE)
    own.create(connection, checkfirst=True)
    connection.execute(own.insert(), [{"version_num": revision} for revision in sorted(found.revisions)])
    _table(EARLIER_TABLE).drop(connection)


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
