"""The page for Django with Django 6, which needs Python 3.12 or newer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.docs.pages import FIRST_JOB, ROOT

from .environments import Environments
from .projects import User
from .test_pages import follow

PAGE = ROOT / "docs/how-to/django.md"
VERSIONS = ("3.13", "3.12", "3.14")


def newer_python() -> str:
    """Return a Python for Django 6. Fails if this machine has none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    path = os.pathsep.join([*map(str, versions.glob("*/bin")), os.environ["PATH"]])
    found = (shutil.which(f"python{version}", path=path) for version in VERSIONS)
    return next(python for python in found if python)


def test_the_page_works_with_django_6(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    environments = Environments(tmp_path / "environments", python=newer_python())

    reader = follow(FIRST_JOB, tmp_path, environments)
    reader = follow(PAGE, reader.folder, environments)
    user = User(reader.folder, reader.programs[0])
    user.types("python -c 'import django; assert django.VERSION >= (6,), django.VERSION'")
