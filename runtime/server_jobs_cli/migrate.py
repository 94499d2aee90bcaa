"""`server-jobs migrate`: run the revisions of the project on its database, with Alembic or as plain SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import click
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from server_jobs.databases.sqlite.errors import advice_for
from server_jobs.errors import DatabaseError, PrivilegeMissingError, ProjectError, SchemaMissingError, ServerJobsError
from server_jobs.migrations import configuration
from server_jobs.migrations.differences import missing_parts
from server_jobs.migrations.engine import enter_schema, migration_engine, sqlalchemy_url
from server_jobs.migrations.environment import OnStep, Step
from server_jobs.migrations.occupied import MigrationRefusedError
from server_jobs.migrations.recorded import Recorded
from server_jobs.migrations.version_table import recorded
from server_jobs.named_databases import check_held_name
from server_jobs.stores.sql.store import SqlStore
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from .console.failures import document_of, exit_status, missing_extra
from .console.json_option import json_option
from .console.options import with_workspace
from .console.output import note, one_line, print_json, say
from .console.workspace import Workspace, run
from .plain_sql import PlainRevision, needs_plain_sql, newest_revisions, plain_revisions, script, upgrade

T = TypeVar("T")
_INSUFFICIENT_PRIVILEGE = "42501"  # SQLSTATE


@click.command()
@click.option("--revision", default="head", show_default=True, help="Upgrade to this revision.")
@click.option("--downgrade", metavar="REVISION", help="Downgrade to this revision instead; base removes everything.")
@click.option("--sql", is_flag=True, help="Print the SQL for an empty database, and connect to no database.")
@with_workspace
@json_option
def migrate(workspace: Workspace, *, revision: str, downgrade: str | None, sql: bool, as_json: bool) -> None:
    """Bring the tables of the database to the newest revision, and print which revisions ran.

    Prints the database first. If the project names several databases, it goes through all of them, and each holds its
    name from then on. If one fails, the others are migrated, and the last line names those that failed. The table
    server_jobs_version records the revisions. The configuration and the revisions of an application's own Alembic are
    never used. A Turso database gets the same revisions as plain SQL, and cannot be downgraded.

    \b
    Examples:
      server-jobs migrate
      server-jobs migrate --database eu
      server-jobs migrate --database postgresql://localhost/shop
      server-jobs migrate --database libsql://shop-ann.turso.io
      server-jobs migrate --sql > schema.sql
      server-jobs migrate --downgrade base

    Exit status: 0 done, 2 wrong usage, 3 the project or a database cannot be used.
    """
    if sql:
        _migrated(workspace.databases()[0], revision, downgrade, sql=True)
        return
    databases = workspace.databases()
    if len(databases) > 1:
        _revisions_folder(workspace)  # raises once what each of them would raise
    documents: list[dict[str, object]] = []
    failures: dict[str, ServerJobsError] = {}
    for one in databases:
        try:
            documents.append(_migrate_one(one, revision, downgrade, as_json=as_json))
        except ServerJobsError as error:
            if len(databases) == 1:
                raise
            name = str(one.database)
            failures[name] = error
            documents.append({"name": name, "error": document_of(error)})
            note(f"Error: database {name}: {error}")
    if as_json:
        print_json({"databases": documents} if len(databases) > 1 else documents[0])
    if failures:
        note(_summary(failures, [str(one.database) for one in databases]))
        click.get_current_context().exit(max(map(exit_status, failures.values())))


def _summary(failures: Collection[str], names: Sequence[str]) -> str:
    done = ", ".join(name for name in names if name not in failures)
    others = f"; {done} {'is' if ',' not in done else 'are'} done" if done else ""
    return (
        f"{len(failures)} of {len(names)} databases failed: {', '.join(failures)}{others}. Correct the errors above, "
        "and run the same command again"
    )


def _migrate_one(workspace: Workspace, revision: str, downgrade: str | None, *, as_json: bool) -> dict[str, object]:
    """Migrate one database, and print the steps. Return them as JSON."""
    (note if as_json else say)(f"migrating {workspace.shown_place}")
    name = workspace.name
    if name is not None:
        with suppress(SchemaMissingError):  # there is no file yet
            run(_check_name(workspace, name, writes=False))
    ran, heads = _migrated(workspace, revision, downgrade, sql=False)
    if name is not None and downgrade is None:
        run(_check_name(workspace, name, writes=True))
    if not as_json:
        for step in ran:
            say(f"{step.direction} {step.revision}  {one_line(step.description)}".rstrip())
        say(f"{workspace.shown_place} is {'now ' if ran else ''}at {_target(downgrade or revision, heads)}")
    named = {} if name is None else {"name": name}
    return {**named, "database": workspace.shown_url, "ran": [asdict(step) for step in ran], "heads": heads}


async def _check_name(workspace: Workspace, name: str, *, writes: bool) -> None:
    """Raise `DatabaseError` if the database holds another name. With `writes`, let it hold this one if it has none."""
    store = SqlStore(workspace.open_database())
    await store.database.open()
    try:
        held = await (store.write_name(name) if writes else store.read_name())
    finally:
        await store.database.close()
    if held is not None:
        check_held_name(name, workspace.variables[name], held)


def _migrated(workspace: Workspace, revision: str, downgrade: str | None, *, sql: bool) -> tuple[list[Step], list[str]]:
    migrate_database = _migrate_plainly if needs_plain_sql(workspace) else _migrate
    return migrate_database(workspace, revision, downgrade, sql=sql)


def _migrate(workspace: Workspace, revision: str, downgrade: str | None, *, sql: bool) -> tuple[list[Step], list[str]]:
    """Run the revisions with Alembic. Return the steps it took, and the newest revisions."""
    sqlalchemy_url(workspace.url)  # reject the URL here with a clear message, before Alembic sees it
    steps: list[Step] = []
    config = alembic_config(workspace, steps.append)
    with _readable_errors(workspace):
        if downgrade is not None:
            command.downgrade(config, downgrade, sql=sql)
        else:
            # After a merge there may be two heads, until `generate` joins them.
            command.upgrade(config, "heads" if revision == "head" else revision, sql=sql)
    return steps, [] if sql else sorted(newest_heads(workspace))


def _migrate_plainly(
    workspace: Workspace, revision: str, downgrade: str | None, *, sql: bool
) -> tuple[list[Step], list[str]]:
    """Do the same without Alembic."""
    if downgrade is not None:
        raise DatabaseError(
            f"{workspace.shown_url} cannot be downgraded: the plain SQL for Turso databases only upgrades; "
            "restore a backup, or write the statements by hand with `turso db shell`"
        )
    revisions = plain_revisions(workspace)
    if sql:
        say(script(revisions, revision).rstrip())
        return [], []
    ran = run(_upgrade(workspace, revisions, revision))
    return [Step("upgrade", one.id, one.description) for one in ran], newest_revisions(revisions)


async def _upgrade(workspace: Workspace, revisions: list[PlainRevision], target: str) -> list[PlainRevision]:
    database = workspace.open_database()
    await database.open()
    try:
        return await upgrade(database, revisions, target)
    finally:
        await database.close()


def _target(revision: str, heads: list[str]) -> str:
    return f"{', '.join(heads)} (head)" if revision in ("head", "heads") else revision


@contextmanager
def _readable_errors(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    except MigrationRefusedError as error:
        raise DatabaseError(f"{workspace.shown_place}: {error}") from error
    except CommandError as error:
        raise ProjectError(f"Alembic: {error}") from error
    except SQLAlchemyError as error:
        raise database_error(workspace, error) from error
    except ModuleNotFoundError as error:
        raise missing_extra(error) or ProjectError(f"Alembic needs the module {error.name}; install it") from error


def alembic_config(workspace: Workspace, on_step: OnStep | None = None) -> Config:
    """Return our own Alembic configuration, with the project's revisions and the workspace's database only.

    Raises `ProjectError` without a project or without generated revisions.
    """
    config = configuration.alembic_config(_revisions_folder(workspace))
    config.attributes["server_jobs"] = {"url": workspace.url, "schema": workspace.schema, "on_step": on_step}
    return config


def _revisions_folder(workspace: Workspace) -> Path:
    project = workspace.required_project()
    folder = project.root / project.output / "migrations/versions"
    if not folder.is_dir():
        raise ProjectError(f"there are no migrations yet, {folder} is missing; run `server-jobs generate` first")
    return folder


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
    """Convert SQLAlchemy's error to ours: the driver's message on one line, without the SQL, and advice."""
    cause: BaseException = getattr(error, "orig", None) or error
    said, advice = " ".join(str(cause).split()), advice_for(cause)
    if getattr(cause, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
        return PrivilegeMissingError(f"{workspace.shown_url}: {said}")
    return DatabaseError(f"{workspace.shown_url}: {said}" + (f"; {advice}" if advice else ""))
