"""System checks: problems of a project that `python manage.py check` reports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  the name of Django
from server_jobs.databases.url import DATABASE_URL
from server_jobs.errors import InvalidOptionError, ProjectError, SchemaMissingError
from server_jobs.project import Project

from .backend import DjangoBackend
from .database import SUPPORTED, jobs_alias, jobs_connection
from .project import is_generated, jobs_project, jobs_registry
from .tables import newest_revisions

_BEGIN = (
    "Write the line [tool.server-jobs] into a pyproject.toml beside manage.py, and run `python manage.py jobs new "
    "send_email --param to:email`."
)
_GENERATE = "Run `python manage.py jobs generate`."
_JOB = re.compile(r'register_on_demand\(\s*"\w+",\s*"\.jobs\.(\w+)"')
_HANDLER = re.compile(r"\b(\w+)\.handle\b")


@register()
def check_project(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[CheckMessage]:
    """Check that the code of the jobs is generated, and that every job has a handler."""
    del app_configs
    try:
        project = jobs_project()
    except ProjectError as error:
        return [Error(str(error), hint=_BEGIN, id="server_jobs.E001")]
    return list(_problems_of(project))


@register()
def check_database(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[CheckMessage]:
    """Check that jobs can be stored in the database."""
    del app_configs
    connection = jobs_connection()
    if connection.vendor not in SUPPORTED:
        return [
            Error(
                f"Jobs cannot be stored in the database {connection.alias!r}: {connection.vendor} is not supported.",
                hint="Use SQLite or PostgreSQL. DATABASE_ROUTERS can lead the app `server_jobs` to another database.",
                id="server_jobs.E005",
            )
        ]
    found: list[CheckMessage] = []
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    if connection.vendor == "sqlite" and str(mode).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        found.append(
            Warning(
                f"Transactions on the SQLite database {connection.alias!r} fail with `database is locked` while a "
                "worker writes.",
                hint=f'Set DATABASES["{connection.alias}"]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE"}}.',
                id="server_jobs.W006",
            )
        )
    if os.environ.get(DATABASE_URL):
        found.append(
            Warning(
                f"{DATABASE_URL} is set, but jobs are stored in Django's database {connection.alias!r}.",
                hint="Unset the variable.",
                id="server_jobs.W007",
            )
        )
    return found


@register(Tags.database, deploy=True)
def check_tables(databases: Sequence[str] | None = None, **_options: object) -> list[CheckMessage]:
    """Check that the tables exist, for `check --deploy --database default`. `migrate` should not ask for itself."""
    if not is_generated() or jobs_alias() not in (databases or ()):
        return []
    backend = DjangoBackend(jobs_registry())
    try:
        backend.run_blocking(lambda: backend.store.get(""))
    except SchemaMissingError as error:
        return [Error(str(error), hint="Run `python manage.py migrate`.", id="server_jobs.E010")]
    except InvalidOptionError:
        pass  # `check_database` reports it
    return []


def _problems_of(project: Project) -> Iterator[CheckMessage]:
    registry = project.root / project.output / "registry.py"
    if not registry.is_file():
        yield Error(f"The jobs are not generated: there is no {registry}.", hint=_GENERATE, id="server_jobs.E002")
        return
    text = registry.read_text(encoding="utf-8")
    specs = {path.stem for path in (project.root / project.specs).glob("*.json")}
    for name in sorted(specs - set(_JOB.findall(text))):
        yield Error(f"The spec {project.specs}/{name}.json is not generated.", hint=_GENERATE, id="server_jobs.E002")
    for name in sorted(specs & set(_HANDLER.findall(text))):  # retired jobs have none
        handler = project.root / project.handlers / f"{name}.py"
        if not handler.is_file():
            yield Error(f"A job has no handler: there is no {handler}.", hint=_GENERATE, id="server_jobs.E003")
    if len(newest_revisions()) > 1:
        yield Error("The tables of the jobs have revisions of two branches.", hint=_GENERATE, id="server_jobs.E004")
