"""`server-jobs migrate`: `alembic upgrade head` with the project's configuration and database."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click
from alembic import command
from alembic.runtime.migration import RevisionStep
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from ..errors import DatabaseError, ProjectError
from .failures import missing_extra
from .options import json_option, with_workspace
from .output import one_line, print_json, say
from .plain_sql import PlainRevision, is_turso, plain_revisions, script, upgrade
from .revision import alembic_config, database_error, newest_heads, sqlalchemy_url
from .running import run
from .workspace import Workspace

_STEPS = logging.getLogger("alembic.runtime.migration")


@dataclass(frozen=True, slots=True)
class Step:
    """A revision that ran: `upgrade` or `downgrade`."""

    direction: str
    revision: str
    description: str


@click.command()
@click.option("--revision", default="head", show_default=True, help="Upgrade to this revision.")
@click.option("--downgrade", metavar="REVISION", help="Downgrade to this revision instead; base removes everything.")
@click.option("--sql", is_flag=True, help="Print the SQL instead, for an empty database, and connect to none.")
@with_workspace
@json_option
def migrate(workspace: Workspace, *, revision: str, downgrade: str | None, sql: bool, as_json: bool) -> None:
    """Bring the tables of the database to the newest revision, and say which revisions ran.

    The same as `alembic upgrade head` in the project's folder, for SQLite and PostgreSQL. A Turso database gets the
    same revisions as plain SQL, and cannot be downgraded.

    \b
    Examples:
      server-jobs migrate
      server-jobs migrate --database postgresql://localhost/shop
      server-jobs migrate --database libsql://shop-ann.turso.io
      server-jobs migrate --sql > schema.sql
      server-jobs migrate --downgrade server_jobs_0001

    Exit status: 0 done, 2 wrong usage, 3 the project or the database cannot be used.
    """
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
    say(f"{workspace.shown_url} is {'now ' if ran else ''}at {_target(downgrade or revision, heads)}")


def _migrate(workspace: Workspace, revision: str, downgrade: str | None, *, sql: bool) -> tuple[list[Step], list[str]]:
    """The steps that Alembic took, and the newest revisions."""
    sqlalchemy_url(workspace)  # refused here rather than somewhere inside of Alembic
    config = alembic_config(workspace)
    with _explained(workspace), _environment(workspace), _recorded() as steps:
        if downgrade is not None:
            command.downgrade(config, downgrade, sql=sql)
        else:
            command.upgrade(config, revision, sql=sql)
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
    return [Step("upgrade", one.id, one.description) for one in ran], [revisions[-1].id]


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
def _environment(workspace: Workspace) -> Iterator[None]:
    """The database URL in the variable in which `env.py` looks for it."""
    variable = workspace.database_url_env
    before = os.environ.get(variable)
    os.environ[variable] = workspace.url
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


class _StepRecorder(logging.Handler):
    """Alembic tells the steps it takes to its log only."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.steps: list[Step] = []

    def emit(self, record: logging.LogRecord) -> None:
        for step in record.args if isinstance(record.args, tuple) else ():
            if isinstance(step, RevisionStep):
                direction = "upgrade" if step.is_upgrade else "downgrade"
                self.steps.append(Step(direction, step.revision.revision, step.doc or ""))


@contextmanager
def _recorded() -> Iterator[list[Step]]:
    recorder, level = _StepRecorder(), _STEPS.level
    _STEPS.addHandler(recorder)
    _STEPS.setLevel(logging.INFO)
    try:
        yield recorder.steps
    finally:
        _STEPS.removeHandler(recorder)
        _STEPS.setLevel(level)


@contextmanager
def _explained(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise ProjectError(f"Alembic: {error}") from error
    except SQLAlchemyError as error:
        raise database_error(workspace, error) from error
    except ModuleNotFoundError as error:
        raise missing_extra(error) or ProjectError(f"Alembic needs the module {error.name}; install it") from error
