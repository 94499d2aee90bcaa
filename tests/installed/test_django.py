"""The pages for Django with Django 6, which needs Python 3.12 or newer."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import DJANGO_TASKS, FIRST_JOB, ROOT

from .environments import Environments
from .projects import User, follow

PAGE = ROOT / "docs/how-to/django.md"


def test_the_page_works_with_django_6(tmp_path: Path, newer_environments: Environments) -> None:
    reader = follow(FIRST_JOB, tmp_path, newer_environments)
    reader = follow(PAGE, reader.folder, newer_environments)
    user = User(reader.folder, reader.programs[0])
    user.types("python -c 'import django; assert django.VERSION >= (6,), django.VERSION'")

    user = User(reader.folder, newer_environments.programs('"server-jobs[django]" pytest-django'))
    assert "1 passed" in user.types("python -m pytest -q --ds shop.settings shop/tests.py")


def test_the_page_about_tasks_works_in_an_empty_folder(tmp_path: Path, newer_environments: Environments) -> None:
    follow(DJANGO_TASKS, tmp_path, newer_environments)
