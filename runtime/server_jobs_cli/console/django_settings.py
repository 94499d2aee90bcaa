"""A Django project whose settings have the app `server_jobs_django`: its database and its folder."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click
from server_jobs.errors import DatabaseError, InvalidOptionError, ProjectError, ProjectNotFoundError
from server_jobs.project import Project
from server_jobs.registry import JobRegistry

_SETTINGS = "DJANGO_SETTINGS_MODULE"
_APP = "server_jobs_django"


def set_up(folder: Path) -> bool:
    """Set Django up, with `folder` on the module path, and return whether the settings have the app.

    Raises `ProjectError` if the settings or an app cannot be imported.
    """
    if not os.environ.get(_SETTINGS) or find_spec("django") is None:
        return False
    import django
    from django.apps import apps
    from django.conf import settings

    if not apps.ready:
        here = str(folder.absolute())
        sys.path[:0] = [] if here in sys.path else [here]
        try:
            if not any(app.startswith(_APP) for app in settings.INSTALLED_APPS):
                return False
            django.setup()
        except Exception as error:  # settings and apps may raise anything
            name = os.environ[_SETTINGS]
            raise ProjectError(
                f"Django cannot be set up with {_SETTINGS}={name}: {type(error).__name__}: {error}; "
                "run the command in the folder of manage.py, or correct or unset the variable"
            ) from error
    return bool(apps.is_installed(_APP))


def check_settings_are_named(folder: Path) -> None:
    """Raise `DatabaseError` in the folder of a Django project if the environment does not name its settings.

    Otherwise a command would make a second database file, and Django's would have no jobs.
    """
    if not os.environ.get(_SETTINGS) and _is_of_django(folder):
        raise DatabaseError(
            f"no database is named, and {folder / 'manage.py'} belongs to a Django project: run "
            f"`python manage.py jobs` with the same arguments, or set {_SETTINGS}; "
            "for a database other than Django's, give --database"
        )


def programs(folder: Path) -> tuple[str, str]:
    """Return the commands to type in a project: this program, and the command for its tables."""
    called = str(click.get_current_context().find_root().info_name)
    if called.startswith("manage.py") or _is_of_django(folder):
        return "python manage.py jobs", "python manage.py migrate"
    return "server-jobs", "server-jobs migrate"


def _is_of_django(folder: Path) -> bool:
    """Whether the folder has the `manage.py` of a Django project."""
    program = folder / "manage.py"
    return program.is_file() and _SETTINGS in program.read_text(errors="replace")


def project() -> Project | None:
    """Return the project of the jobs, or None."""
    from server_jobs_django.project import jobs_project

    try:
        return jobs_project()
    except ProjectNotFoundError:
        return None


def add_tasks(registry: JobRegistry) -> None:
    """Import the modules that declare tasks of Django. Raises `ProjectError`."""
    from server_jobs_django.setup import add_tasks

    add_tasks(registry)


def url() -> str:
    """Return the URL of Django's database. Raises `DatabaseError` if no other process can use it."""
    from server_jobs_django import database_url

    try:
        return database_url()
    except InvalidOptionError as error:
        raise DatabaseError(str(error)) from error
