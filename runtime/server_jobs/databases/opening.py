"""Open the database that a URL names. Each adapter is imported when a URL names it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from ..domain.interfaces import Database
from ..errors import DatabaseError, InvalidOptionError
from .url import DEFAULT_URL, SQLITE_SCHEMES, is_postgres, parts_of, without_password


def open_database(url: str, *, schema: str | None = None) -> Database:
    """Return the database of a URL, not connected yet.

    SQLite: `sqlite:///relative.sqlite3` or `sqlite:////absolute.sqlite3`, also `sqlite+aiosqlite`. PostgreSQL:
    `postgresql://user:password@host:5432/database`. Plug-ins bring other schemes; see `DatabaseKind`.

    `schema` is the PostgreSQL schema of the tables; None: the first schema of the connection's search path. Other
    databases have no schemas.

    Raises `InvalidOptionError` for another kind of URL, and `DatabaseError` if the extra of the database is missing.
    """
    if is_postgres(url):
        return _open_postgres(url, schema)
    parts = parts_of(url)
    if parts.scheme not in SQLITE_SCHEMES:
        return _open_other(url, parts.scheme)
    path = unquote(parts.path).removeprefix("/")
    _check_slashes(url)
    if parts.query:
        raise InvalidOptionError(
            f"the database URL {without_password(url)!r} has options, and SQLite takes none here; "
            "leave out what follows the `?` (write %3F for one in the name of the file)"
        )
    return _open_sqlite(Path(path) if path and path != ":memory:" else ":memory:")


def is_built_in(url: str) -> bool:
    """Whether a URL names SQLite or PostgreSQL, which SQLAlchemy knows too. Raises `InvalidOptionError`."""
    return is_postgres(url) or parts_of(url).scheme in SQLITE_SCHEMES


def sqlalchemy_url(url: str) -> str:
    """Return the URL for SQLAlchemy, with a driver that waits, and the engine's hosts and time limits of PostgreSQL.

    Raises `InvalidOptionError` for a URL of PostgreSQL, or of SQLite with a host, that the engine refuses too.
    """
    if not is_postgres(url):
        _check_slashes(url)
        return f"sqlite://{url.partition('://')[2]}" if url.startswith(SQLITE_SCHEMES) else url
    from .postgres.url import parse_postgres_url  # loaded only for PostgreSQL, like the driver

    return parse_postgres_url(url).for_sqlalchemy()


def _check_slashes(url: str) -> None:
    parts = parts_of(url)
    if parts.scheme == "sqlite" and parts.netloc:
        given = without_password(url)
        raise InvalidOptionError(
            f"the database URL {given!r} has two slashes, and so names a host; write {given.replace('//', '///', 1)!r} "
            "for the file in this folder, or four slashes for an absolute path"
        )


def _open_sqlite(path: Path | Literal[":memory:"]) -> Database:
    from .sqlite.database import SqliteDatabase  # a Worker has no files and does not upload it

    return SqliteDatabase(path)


def _open_postgres(url: str, schema: str | None) -> Database:
    try:
        from .postgres.database import PostgresDatabase
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"for PostgreSQL the module {error.name!r} is missing; run pip install 'server-jobs[postgres]'"
        ) from error
    return PostgresDatabase(url, schema=schema)


def _open_other(url: str, scheme: str) -> Database:
    """Return the database that a plug-in opens."""
    from .kinds import KINDS  # few URLs need a plug-in

    kinds = KINDS.all()
    opened = [found for kind in kinds if scheme in kind.schemes and (found := kind.open(url)) is not None]
    if not opened:
        examples = [
            DEFAULT_URL,
            "postgresql://user@localhost/database",
            *(kind.example for kind in kinds if kind.example),
        ]
        raise InvalidOptionError(
            f"the database URL {without_password(url)!r} is not supported; give one such as "
            f"{' or '.join(map(repr, examples))}"
        )
    if len(opened) > 1:
        raise InvalidOptionError(
            f"two plug-ins open the database URL {without_password(url)!r}: "
            f"{' and '.join(type(one).__module__ for one in opened)}; uninstall one of them"
        )
    return opened[0]
