"""At which revision a database is, and which one is the newest: Alembic's answers."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from ..databases.sqlite_errors import advice_for
from ..errors import DatabaseError, ProjectError
from .workspace import Workspace

_SUPPORTED = (
    "migrations run on SQLite, PostgreSQL and libSQL servers, such as sqlite:///jobs.sqlite3, "
    "postgresql://localhost/shop or libsql://name-organization.turso.io"
)


def alembic_config(workspace: Workspace) -> Config:
    """Alembic's configuration as the `alembic` command finds it in the project, else for the generated folder.

    Raises `ProjectError` when there is no project, or nothing is generated yet.
    """
    project = workspace.required_project()
    ini = project.root / "alembic.ini"
    config = Config(
        file_=ini if ini.is_file() else None, toml_file=project.root / "pyproject.toml", output_buffer=sys.stdout
    )
    if config.get_alembic_option("script_location") is None:
        config.set_main_option("script_location", str(project.root / project.output / "migrations").replace("%", "%%"))
    location = config.get_alembic_option("script_location")
    if location is None or not Path(location).is_dir():
        raise ProjectError(f"there are no migrations yet, {location} is missing; run `server-jobs generate` first")
    sys.path[:0] = [folder for folder in workspace.import_folders if folder not in sys.path]
    return config


def newest_heads(workspace: Workspace) -> set[str]:
    """The newest revisions of the project, one for each branch. Raises `ProjectError`."""
    try:
        return set(ScriptDirectory.from_config(alembic_config(workspace)).get_heads())
    except CommandError as error:
        raise ProjectError(f"Alembic: {error}") from error


def current_heads(workspace: Workspace) -> set[str]:
    """The revisions the database is at, none if Alembic never touched it. Raises `DatabaseError`."""
    url = sqlalchemy_url(workspace)
    try:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return set(MigrationContext.configure(connection).get_current_heads())
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        raise database_error(workspace, error) from error


def sqlalchemy_url(workspace: Workspace) -> URL:
    """The URL with the driver that the extra `postgres` brings. Raises `DatabaseError` for one nobody can use."""
    try:
        url = make_url(workspace.url)
    except (SQLAlchemyError, ValueError):
        raise DatabaseError(f"{workspace.shown_url!r} is not a database URL; {_SUPPORTED}") from None
    if url.get_backend_name() not in ("sqlite", "postgresql", "postgres"):
        raise DatabaseError(f"{workspace.shown_url}: {url.get_backend_name()} is not supported; {_SUPPORTED}")
    if url.drivername in ("postgresql", "postgres", "postgresql+asyncpg"):  # migrations are not asynchronous
        return url.set(drivername="postgresql+psycopg")
    return url


def database_error(workspace: Workspace, error: SQLAlchemyError) -> DatabaseError:
    """SQLAlchemy's error as one of ours: the driver's message on one line, without the SQL, and what to do about it."""
    cause: BaseException = getattr(error, "orig", None) or error
    said, advice = " ".join(str(cause).split()), advice_for(cause)
    return DatabaseError(f"{workspace.shown_url}: {said}" + (f"; {advice}" if advice else ""))
