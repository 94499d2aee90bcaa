"""Alembic's environment for the revisions of server-jobs. `env.py` of a project calls `run_migrations`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic import context
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationInfo, MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import NotSupportedError, ProgrammingError

from ..schema import is_ours, metadata
from .configuration import alembic_config
from .engine import (
    current_search_path,
    enter_schema,
    migration_engine,
    quoted,
    restore_search_path,
    sqlalchemy_url,
)
from .occupied import MigrationRefusedError, a_separate_place, check_tables
from .recorded import VERSION_TABLE
from .version_table import recorded

_logger = logging.getLogger("server_jobs")

# Any number works that no other program uses for an advisory lock.
_MIGRATION_LOCK = 7_365_727_665

_SKIPPED = "Skipped unsupported reflection of expression-based index"
"""SQLAlchemy warns that it cannot compare the indexes on columns of views."""


@dataclass(frozen=True, slots=True)
class Step:
    """A revision that ran: `upgrade` or `downgrade`."""

    direction: str
    revision: str
    description: str


OnStep = Callable[[Step], None]


def run_migrations(url: str, *, schema: str | None = None, on_step: OnStep | None = None) -> None:
    """Do what Alembic was called for, on the database of this URL. Works inside `env.py` only.

    `schema` is the PostgreSQL schema of the tables; it is created if it is missing. `on_step` is called after each
    revision. All revisions of a call run in one transaction: one that fails leaves nothing behind, and of two calls at
    the same time the second waits.
    """
    warnings.filterwarnings("ignore", _SKIPPED)
    if context.is_offline_mode():
        _run_offline(url, schema)
    else:
        _run_online(url, schema, on_step)


def _run_offline(url: str, schema: str | None) -> None:
    """Print the statements and connect to no database."""
    # With named parameters, percent signs in values are not doubled.
    context.configure(
        url=sqlalchemy_url(url),
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        version_table=VERSION_TABLE,
    )
    dialect = context.get_context().dialect
    # SQLAlchemy 2.0 doubles backslashes until a server tells it not to, as every one has done since PostgreSQL 9.1.
    vars(dialect)["_backslash_escapes"] = False
    with context.begin_transaction():
        if schema is not None and dialect.name == "postgresql":
            name = dialect.identifier_preparer.quote_identifier(schema)
            context.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
            context.execute(f"SET LOCAL search_path TO {name}")
        context.run_migrations()


def _run_online(url: str, schema: str | None, on_step: OnStep | None) -> None:
    engine = migration_engine(url)
    with engine.connect() as connection:
        _configure(connection, on_step)
        with context.begin_transaction():
            _enter(connection, schema)
            if not _runs_revisions() or _is_to_run(connection):
                context.run_migrations()


def _configure(connection: Connection, on_step: OnStep | None = None) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=is_ours,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        version_table=VERSION_TABLE,
        on_version_apply=None if on_step is None else _callback(on_step),
    )


def _enter(connection: Connection, schema: str | None) -> None:
    """Wait for other migrations of this database, and enter the schema."""
    if connection.dialect.name == "postgresql":
        _wait_for_others(connection)
        _create_schema(connection, schema)
    enter_schema(connection, schema)


def _wait_for_others(connection: Connection) -> None:
    """Take the lock of migrations. The savepoint saves the transaction where the server refuses advisory locks."""
    try:
        with connection.begin_nested():
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
    except (NotSupportedError, ProgrammingError) as error:
        _logger.warning(
            "migrations do not wait for each other, because the server refuses advisory locks (%s): of two at the same "
            "time, one may fail and change nothing",
            str(error.orig).partition("\n")[0],
        )


def run_revision(connection: Connection, versions: Path, revision: str, *, schema: str | None, undo: bool) -> None:
    """Run one revision inside the transaction of this connection, or `undo` it. Do nothing if that was done already.

    `versions` is the folder of the revisions. The transaction continues with its own search path. Raises
    `MigrationRefusedError`.
    """
    config = alembic_config(versions)
    scripts = ScriptDirectory.from_config(config)

    def steps(heads: tuple[str, ...], _context: MigrationContext) -> list[MigrationStep]:
        done = {script.revision for script in scripts.iterate_revisions(heads, "base")}
        if undo is not (revision in done):
            return []
        step = MigrationStep.downgrade_from_script if undo else MigrationStep.upgrade_from_script
        return [step(scripts.revision_map, scripts.get_revision(revision))]

    warnings.filterwarnings("ignore", _SKIPPED)
    with EnvironmentContext(config, scripts, fn=steps, destination_rev=revision):
        path = current_search_path(connection)
        _configure(connection)
        _enter(connection, schema)
        if _is_to_run(connection):
            context.run_migrations()
        restore_search_path(connection, path)


def _callback(on_step: OnStep) -> Callable[..., None]:
    """Return a function that Alembic calls after each revision."""

    def call(*, step: MigrationInfo, **_others: object) -> None:
        for revision in step.up_revision_ids:
            script = context.script.get_revision(revision)
            on_step(Step("upgrade" if step.is_upgrade else "downgrade", revision, script.doc or ""))

    return call


def _create_schema(connection: Connection, schema: str | None) -> None:
    """Create the schema unless it exists. IF NOT EXISTS would ask for the right to create schemas in any case."""
    exists = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    if schema is not None and connection.execute(exists, {"name": schema}).first() is None:
        connection.execute(text(f"CREATE SCHEMA {quoted(connection, schema)}"))


def _runs_revisions() -> bool:
    """Return whether this is an upgrade or a downgrade; Alembic's `stamp`, `current` and `check` run no revision."""
    options = context.get_context().opts
    return "destination_rev" in options and "purge" not in options


def _is_to_run(connection: Connection) -> bool:
    """Return whether this project runs its own revisions here: False if an application's Alembic has run all of them.

    Raises `MigrationRefusedError` if the database belongs to another project or program.
    """
    found = recorded(connection)
    if not found.revisions:
        check_tables(connection)
        return True
    if unknown := found.revisions - {script.revision for script in context.script.walk_revisions()}:
        raise MigrationRefusedError(
            f"the database is at the revision {_listed(unknown)}, which this project does not have: it belongs to "
            "another project, another branch or a newer release. Nothing was changed. Use the files of that branch or "
            f"release, or give this project {a_separate_place(connection)}"
        )
    if not found.is_run_by_application:
        return True
    if found.revisions == frozenset(context.script.get_heads()):
        return False
    raise MigrationRefusedError(
        "the Alembic of an application runs the revisions of server-jobs here (the table alembic_version has "
        f"{_listed(found.revisions | found.of_application)}): run `alembic upgrade heads` with its configuration"
    )


def _listed(revisions: frozenset[str]) -> str:
    return ", ".join(sorted(revisions))
