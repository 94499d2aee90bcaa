"""`server-jobs migrate`: run the revisions of the project on its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from alembic import command
from alembic.util.exc import CommandError
from server_jobs.errors import DatabaseError, ProjectError
from server_jobs.migrations.engine import sqlalchemy_url
from server_jobs.migrations.environment import Step
from server_jobs.migrations.occupied import MigrationRefusedError
from sqlalchemy.exc import SQLAlchemyError

from ..console.failures import missing_extra
from ..console.output import note, one_line, print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace
from .plain_sql import PlainRevision, is_turso, newest_revisions, plain_revisions, script, upgrade
from .revision import alembic_config, database_error, newest_heads


@click.command()
@click.option("--revision", default="head", show_default=True, help="Upgrade to this revision.")
@click.option("--downgrade", metavar="REVISION", help="Downgrade to this revision instead; base removes everything.")
@click.option("--sql", is_flag=True, help="Print the SQL instead, for an empty database, and connect to none.")
@with_workspace
@json_option
def migrate(workspace: Workspace, *, revision: str, downgrade: str | None, sql: bool, as_json: bool) -> None:
    """Bring the tables of the database to the newest revision, and print which revisions ran.

    Prints the database first. The revisions that ran are recorded in the table server_jobs_version; the configuration
    and the revisions of an application's own Alembic are never used. A Turso database gets the same revisions as plain
    SQL, and cannot be downgraded.

    \b
    Examples:
      server-jobs migrate
      server-jobs migrate --database postgresql://localhost/shop
      server-jobs migrate --database libsql://shop-ann.turso.io
      server-jobs migrate --sql > schema.sql
      server-jobs migrate --downgrade base

    Exit status: 0 done, 2 wrong usage, 3 the project or the database cannot be used.
    """
    if not sql:
        (note if as_json else say)(f"migrating {workspace.shown_place}")
    if is_turso(workspace):
        ran, heads = _migrate_plainly(workspace, revision, downgrade, sql=sql)
    else:
        ran, heads = _migrate(workspace, revision, downgrade, sql=sql)
    if sql:
        return
    if as_json:
        print_json({"database": workspace.shown_url, "ran": [asdict(step) for step in ran], "heads": heads})
        return
    for step in ran:
        say(f"{step.direction} {step.revision}  {one_line(step.description)}".rstrip())
    say(f"{workspace.shown_place} is {'now ' if ran else ''}at {_target(downgrade or revision, heads)}")


def _migrate(workspace: Workspace, revision: str, downgrade: str | None, *, sql: bool) -> tuple[list[Step], list[str]]:
    """Run the revisions with Alembic. Return the steps it took, and the newest revisions."""
    sqlalchemy_url(workspace.url)  # refused here rather than somewhere inside of Alembic
    steps: list[Step] = []
    config = alembic_config(workspace, steps.append)
    with _explained(workspace):
        if downgrade is not None:
            command.downgrade(config, downgrade, sql=sql)
        else:
            # Two branches that were merged are two heads, until `generate` joins them.
            command.upgrade(config, "heads" if revision == "head" else revision, sql=sql)
    return steps, [] if sql else sorted(newest_heads(workspace))


def _migrate_plainly(
    workspace: Workspace, revision: str, downgrade: str | None, *, sql: bool
) -> tuple[list[Step], list[str]]:
    """The same without Alembic."""
    if downgrade is not None:
        raise DatabaseError(
            f"{workspace.shown_url} cannot be downgraded: the plain SQL that Turso databases are migrated with only "
            "leads upwards; restore a backup, or write the statements by hand with `turso db shell`"
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
def _explained(workspace: Workspace) -> Iterator[None]:
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
