"""Empty, migrated databases for single tests, made from the generated plain SQL of the project."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from ..databases.url import is_postgres, without_password
from ..errors import DatabaseError, InvalidOptionError, ProjectError
from ..project import Project


def migrated_sqlite_file(project: Project, folder: Path) -> Path:
    """Make a SQLite file with the tables of the project, to be copied for each test."""
    path = folder / "server-jobs.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_script(project, "sqlite"))
    return path


@contextmanager
def copied_sqlite_file(migrated: Path, folder: Path) -> Iterator[str]:
    """Yield the URL of a copy in the folder."""
    yield f"sqlite:///{shutil.copy(migrated, folder / 'server-jobs.sqlite3')}"


@contextmanager
def new_postgres_database(server: str, project: Project) -> Iterator[str]:
    """Make a database on this server, and yield its URL, with the driver of the given one. Drop it at the end."""
    if not is_postgres(server):
        raise InvalidOptionError(
            f"jobs_database_server must be the URL of a PostgreSQL server, such as 'postgresql://localhost/postgres', "
            f"not {without_password(server)!r}; for SQLite, leave it out"
        )
    try:
        import psycopg  # the extra `postgres`
    except ModuleNotFoundError as error:
        raise DatabaseError("for PostgreSQL, run pip install 'server-jobs[postgres]'") from error
    name = f"server_jobs_test_{uuid4().hex[:12]}"
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    with psycopg.connect(_without_driver(server), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            with psycopg.connect(_without_driver(url)) as made:
                if project.schema is not None:
                    made.execute(f'CREATE SCHEMA "{project.schema}"; SET search_path TO "{project.schema}"'.encode())
                made.execute(_script(project, "postgresql").encode())
            yield url
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _without_driver(url: str) -> str:
    """Return the URL for the server's own library, which refuses `postgresql+psycopg`."""
    return f"postgresql://{url.partition('://')[2]}"


def _script(project: Project, dialect: str) -> str:
    """Return the SQL of all revisions, in their order."""
    folder = project.root / project.output / "migrations/sql" / dialect
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise ProjectError(f"there are no migrations yet, {folder} has none; run `server-jobs generate` first")
    return "\n".join(path.read_text(encoding="utf-8") for path in files)
