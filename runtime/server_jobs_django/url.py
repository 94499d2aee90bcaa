"""The URL of Django's database, for workers and commands, which have connections of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from server_jobs.errors import InvalidOptionError

from .database import SUPPORTED, jobs_connection

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_OF_DJANGO = frozenset(
    {"autocommit", "client_encoding", "context", "cursor_factory", "prepare_threshold", "row_factory"}
)
"""Options of `psycopg.connect` that are not options of libpq."""


def database_url() -> str:
    """Return the URL of the database of the jobs, from `DATABASES`. It may contain a password.

    In tests it is the URL of the test database. Raises `InvalidOptionError` if no other process can use the database,
    because it is in memory or of an unsupported kind.
    """
    connection = jobs_connection()
    if connection.vendor not in SUPPORTED:
        raise InvalidOptionError(
            f"jobs cannot be stored in the database {connection.alias!r}: {connection.vendor} is not supported; use "
            "SQLite or PostgreSQL, or let DATABASE_ROUTERS lead the app `server_jobs` to another database"
        )
    return _postgres_url(connection) if connection.vendor == "postgresql" else _sqlite_url(connection)


def _sqlite_url(connection: BaseDatabaseWrapper) -> str:
    name = str(connection.settings_dict["NAME"])
    if name == ":memory:" or "mode=memory" in name:
        raise InvalidOptionError(
            f"the database {connection.alias!r} is in the memory of this process, where no worker and no command sees "
            "it; in tests, run jobs with `run_stored_jobs()` of `server_jobs_django.test`"
        )
    if name.startswith("file:"):
        raise InvalidOptionError(f"NAME of the database {connection.alias!r} must be a path, not the URI {name!r}")
    return f"sqlite:///{quote(str(Path(name).absolute()), safe='/ ')}"


def _postgres_url(connection: BaseDatabaseWrapper) -> str:
    given = {name: value for name, value in connection.get_connection_params().items() if name not in _OF_DJANGO}
    role = connection.settings_dict["OPTIONS"].get("assume_role")
    if role:
        given["options"] = f"{given.get('options', '')} -c role={role}".strip()
    user, password = (quote(str(given.pop(name, "")), safe="") for name in ("user", "password"))
    database = quote(str(given.pop("dbname", "")), safe="")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    return f"postgresql://{login}/{database}?{urlencode(given)}"
