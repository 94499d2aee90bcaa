"""At which revision a database is, and which one is the newest: Alembic's answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from server_jobs import migrations
from server_jobs.databases.sqlite.errors import advice_for
from server_jobs.errors import DatabaseError, ProjectError
from server_jobs.migrations.differences import missing_parts
from server_jobs.migrations.engine import enter_schema, migration_engine
from server_jobs.migrations.environment import OnStep
from server_jobs.migrations.recorded import Recorded
from server_jobs.migrations.version_table import recorded
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ..project.workspace import Workspace

T = TypeVar("T")

_ENVIRONMENT = Path(migrations.__file__).parent / "script"


def alembic_config(workspace: Workspace, on_step: OnStep | None = None) -> Config:
    """Return a configuration of our own: the revisions of the project, the database of the workspace, nothing else.

    Reads no `alembic.ini`, `[tool.alembic]` or `env.py`: they may belong to an application with its own database.
    Raises `ProjectError` when there is no project, or nothing is generated yet.
    """
    project = workspace.required_project()
    versions = project.root / project.output / "migrations/versions"
    if not versions.is_dir():
        raise ProjectError(f"there are no migrations yet, {versions} is missing; run `server-jobs generate` first")
    config = Config(output_buffer=sys.stdout)
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["server_jobs"] = {"url": workspace.url, "schema": workspace.schema, "on_step": on_step}
    return config


def newest_heads(workspace: Workspace) -> set[str]:
    """Return the newest revisions of the project, one for each branch. Raises `ProjectError`."""
    try:
        return set(ScriptDirectory.from_config(alembic_config(workspace)).get_heads())
    except CommandError as error:
        raise ProjectError(f"Alembic: {error}") from error


def recorded_revisions(workspace: Workspace) -> Recorded:
    """Return the revisions that ran in the database. Raises `DatabaseError`."""
    return _read(workspace, recorded)


def missing_in_tables(workspace: Workspace) -> list[str]:
    """Return the tables, columns and indexes that this release needs and the database lacks. Raises `DatabaseError`."""
    return _read(workspace, missing_parts)


def _read(workspace: Workspace, read: Callable[[Connection], T]) -> T:
    try:
        with migration_engine(workspace.url).connect() as connection:
            enter_schema(connection, workspace.schema)
            return read(connection)
    except SQLAlchemyError as error:
        raise database_error(workspace, error) from error


def database_error(workspace: Workspace, error: SQLAlchemyError) -> DatabaseError:
    """Return SQLAlchemy's error as one of ours: the driver's message on one line, without the SQL, and advice."""
    cause: BaseException = getattr(error, "orig", None) or error
    said, advice = " ".join(str(cause).split()), advice_for(cause)
    return DatabaseError(f"{workspace.shown_url}: {said}" + (f"; {advice}" if advice else ""))
