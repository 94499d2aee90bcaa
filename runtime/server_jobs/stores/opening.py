"""The way from a URL to the store on its database."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..databases.opening import open_database
from ..domain.interfaces import Database, Store
from ..errors import InvalidOptionError


@runtime_checkable
class HasOwnStore(Protocol):
    """A database whose store is not the one of all databases with SQL. A plug-in may bring one."""

    def own_store(self) -> Store:
        """Return a store on this database, not opened yet."""
        ...


def store_of(database: Store | Database | str, schema: str | None) -> Store:
    """Return the store of a database or of its URL, not opened yet. A store is returned as it is.

    `schema` is the PostgreSQL schema of the tables, for a URL; None: the first schema of the connection's search path.
    Raises `InvalidOptionError`.
    """
    if isinstance(database, str):
        return _store_on(open_database(database, schema=schema))
    if isinstance(database, Store):
        return database
    if isinstance(database, Database):
        return _store_on(database)
    raise InvalidOptionError(
        f"database must be a store, a database or a URL such as 'sqlite:///jobs.sqlite3', "
        f"not a value of type {type(database).__name__}"
    )


def _store_on(database: Database) -> Store:
    if isinstance(database, HasOwnStore):
        return database.own_store()
    from .sql.store import SqlStore  # a third of the modules of this package, when a program makes its first store

    return SqlStore(database)
