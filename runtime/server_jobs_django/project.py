"""The project of the jobs, and its registry, as Django finds them."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import django
from django.conf import settings
from server_jobs.errors import ProjectError, ProjectNotFoundError
from server_jobs.project import Project, find_project
from server_jobs.registry import JobRegistry


def jobs_project() -> Project:
    """Return the project: the table `[tool.server-jobs]` in the folder of `manage.py`, or above the settings.

    Raises `ProjectNotFoundError` if there is none, and `ProjectError` for invalid settings.
    """
    return _project_above(_start())


def jobs_registry() -> JobRegistry:
    """Return the generated registry. Raises `ProjectError` if it is not generated yet.

    The handlers are imported when a worker needs them.
    """
    project = jobs_project()
    path = project.root / project.output / "registry.py"
    if not path.is_file():
        raise ProjectError(f"nothing is generated yet, there is no {path}; run `python manage.py jobs generate`")
    registry: object = import_module(f"{project.output_package}.registry").registry
    if not isinstance(registry, JobRegistry):
        raise ProjectError(f"{path} has no registry; run `python manage.py jobs generate`")
    return registry


def complete_registry() -> JobRegistry:
    """Return the generated registry, with the tasks of all modules that declare them."""
    registry = jobs_registry()
    registry.hooks.set_up()
    return registry


def has_tasks() -> bool:
    """Whether this Django has `django.tasks`."""
    major: int = django.VERSION[0]
    return major >= 6


def is_generated() -> bool:
    """Whether there is a registry."""
    try:
        project = jobs_project()
    except ProjectNotFoundError:
        return False
    return (project.root / project.output / "registry.py").is_file()


@cache
def _project_above(start: Path) -> Project:
    return find_project(start)


def _start() -> Path:
    """Return the folder of the settings module, or else this folder."""
    name = getattr(settings, "SETTINGS_MODULE", None)
    file = getattr(sys.modules.get(str(name)), "__file__", None)
    return Path(file).parent if file else Path.cwd()
