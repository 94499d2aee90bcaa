"""The tables of the jobs in Django's database: each revision of the project is a migration of Django."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, migrations, router
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState
from server_jobs.errors import ProjectError, ProjectNotFoundError

from .database import atomic, jobs_alias
from .project import jobs_project

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Model
    from sqlalchemy import Connection

APP = "server_jobs"
_ASSIGNED = re.compile(r'^(revision|down_revision) = (None|"\w+"|\(.*?\))$', re.MULTILINE | re.DOTALL)
_POSTGRES = "postgresql+psycopg://"


def versions_folder() -> Path | None:
    """Return the folder of the project's revisions; None if nothing is generated yet."""
    try:
        project = jobs_project()
    except ProjectNotFoundError:
        return None
    folder = project.root / project.output / "migrations/versions"
    return folder if folder.is_dir() else None


def migration_modules(package: str) -> dict[str, ModuleType]:
    """Return a module with a migration for each revision, by its import name in this package."""
    found = dict(_revisions())
    names = {revision: path.stem for path, (revision, _) in found.items()}
    modules: dict[str, ModuleType] = {}
    for path, (revision, parents) in found.items():
        operations: list[Operation] = [RunRevision(revision)]
        if not parents:
            operations.append(migrations.SeparateDatabaseAndState(state_operations=list(_models())))
        dependencies = [(APP, names.get(parent, parent)) for parent in parents]
        module = modules[f"{package}.{path.stem}"] = ModuleType(f"{package}.{path.stem}")
        members = {"dependencies": dependencies, "operations": operations}
        vars(module)["Migration"] = type("Migration", (migrations.Migration,), members)
    return modules


def newest_revisions() -> set[str]:
    """Return the revisions that no other one follows: several after a merge, until the next `generate`."""
    found = [revision for _, revision in _revisions()]
    return {revision for revision, _ in found} - {parent for _, parents in found for parent in parents}


class RunRevision(Operation):
    """Run a revision of the project with Alembic, in the transaction of the migration.

    The table `server_jobs_version` records it too, so that `server-jobs migrate` and this operation skip what the other
    one has done. Does nothing in other databases than the database of the jobs.
    """

    reversible = True

    def __init__(self, revision: str) -> None:
        self.revision = revision

    def state_forwards(self, app_label: str, state: object) -> None:
        """Do nothing: the models of the app are the same in every state."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: object, to_state: object
    ) -> None:
        """Run the revision. For `sqlmigrate`, show its SQL."""
        del from_state, to_state
        self._run(app_label, schema_editor, undo=False)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: object, to_state: object
    ) -> None:
        """Undo the revision."""
        del from_state, to_state
        self._run(app_label, schema_editor, undo=True)

    def describe(self) -> str:
        """Return the description for `migrate --plan`."""
        return f"Run the revision {self.revision}"

    def _run(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *, undo: bool) -> None:
        connection = schema_editor.connection
        if connection.alias != jobs_alias() or not router.allow_migrate(connection.alias, app_label):
            return
        if schema_editor.collect_sql:
            schema_editor.collected_sql += _plain_sql(self.revision, connection.vendor, undo=undo)
            return
        _run_revision(connection, self.revision, undo=undo)


def enter_schema(models: Iterable[type[Model]]) -> None:
    """Let the models read the tables in the PostgreSQL schema of the project, if it has one."""
    try:
        schema = jobs_project().schema
    except ProjectError:
        return  # a system check reports it
    if schema is not None and connections[jobs_alias()].vendor == "postgresql":
        for options in (vars(model)["_meta"] for model in models):
            options.db_table = f'"{schema}"."{options.db_table}"'


def create_without_migrations(using: str, **_signal: object) -> None:
    """Create the tables if our migrations are disabled, before Django creates tables of apps without migrations.

    `TEST = {"MIGRATE": False}` and `pytest --nomigrations` disable the migrations of all apps.
    """
    module, _ = MigrationLoader.migrations_module(APP)
    if module is None and using == jobs_alias() and router.allow_migrate(using, APP):
        with atomic(using):
            for _, (revision, _) in _revisions():
                _run_revision(connections[using], revision, undo=False)


def _revisions() -> Iterator[tuple[Path, tuple[str, tuple[str, ...]]]]:
    """Yield the file, the id and the parents of each revision, in an order in which they can run."""
    folder = versions_folder()
    for path in sorted(folder.glob("*.py")) if folder else ():
        assigned = {name: ast.literal_eval(value) for name, value in _ASSIGNED.findall(path.read_text("utf-8"))}
        parents: str | tuple[str, ...] | None = assigned["down_revision"]
        yield path, (assigned["revision"], (parents,) if isinstance(parents, str) else parents or ())


def _models() -> Iterator[Operation]:
    """Yield the state of the app's models, so that `makemigrations` finds no difference."""
    for model in apps.get_app_config(APP).get_models():
        state = ModelState.from_model(model)
        yield migrations.CreateModel(state.name, list(state.fields.items()), state.options, state.bases, state.managers)


def _plain_sql(revision: str, dialect: str, *, undo: bool) -> list[str]:
    if undo:
        return [f"-- {revision} has no SQL that undoes it; run it with `migrate`"]
    project = jobs_project()
    folder = project.root / project.output / "migrations/sql" / dialect
    (path,) = folder.glob(f"{revision.removeprefix('server_jobs_')}_*.sql")
    return path.read_text(encoding="utf-8").splitlines()


def _run_revision(connection: BaseDatabaseWrapper, revision: str, *, undo: bool) -> None:
    from server_jobs.migrations.environment import run_revision  # Alembic is loaded only by a migration

    folder = versions_folder()
    if folder is not None:
        with _lent(connection) as lent:
            run_revision(lent, folder, revision, schema=jobs_project().schema, undo=undo)


@contextmanager
def _lent(connection: BaseDatabaseWrapper) -> Iterator[Connection]:
    """Yield Django's connection as one of SQLAlchemy, within its current transaction."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    connection.ensure_connection()
    # The search for hstore accepts no `_Borrowed`.
    url, options = ("sqlite://", {}) if connection.vendor == "sqlite" else (_POSTGRES, {"use_native_hstore": False})
    engine = create_engine(url, creator=lambda: _Borrowed(connection.connection), poolclass=NullPool, **options)
    with engine.begin() as lent:
        yield lent


class _Borrowed:
    """A connection of a driver that its owner commits, rolls back, closes and configures."""

    def __init__(self, connection: object) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  of the connection
        return getattr(self._connection, name)

    def _leave(self, *_args: object, **_options: object) -> None:
        """Leave this to the owner."""

    commit = rollback = close = create_function = _leave
