"""The way from a URL to the store on its database."""

from __future__ import annotations

from ..databases.opening import open_database
from ..databases.url import tenant_address
from ..domain.interfaces import Database, Store
from ..errors import InvalidOptionError


def store_of(database: Store | Database | str, schema: str | None) -> Store:
    """Return the store of a database or of its URL, not opened yet. A store is returned as it is.

    `schema` is the PostgreSQL schema of the tables, for a URL; None: the first schema of the connection's search path.
    Raises `InvalidOptionError`.
    """
    if isinstance(database, str):
        return _store_at(database, schema)
    if isinstance(database, Store):
        return database
    if isinstance(database, Database):
        return _sql_store(database)
    raise InvalidOptionError(
        f"database must be a store, a database or a URL such as 'sqlite:///jobs.sqlite3', "
        f"not a value of type {type(database).__name__}"
    )


def _store_at(url: str, schema: str | None) -> Store:
    database, tenant = open_database(url, schema=schema), tenant_address(url)
    if tenant is None or tenant.name is None:
        return _sql_store(database)
    from .tenant import TenantStore

    return TenantStore(database, tenant.name)


def _sql_store(database: Database) -> Store:
    from .sql.store import SqlStore  # a third of the modules of this package, when a program makes its first store

    return SqlStore(database)
