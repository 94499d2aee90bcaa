"""Every page from top to bottom, in an environment with only the packages that the tutorial and the page install."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import DJANGO_TASKS, FIRST_JOB, README, name_of, pages

from .environments import Environments
from .projects import follow


@pytest.mark.parametrize("page", [page for page in pages() if page not in (DJANGO_TASKS, FIRST_JOB)], ids=name_of)
def test_a_page_works_with_what_it_installs(
    page: Path, tmp_path: Path, tutorial: Path, environments: Environments
) -> None:
    start = tmp_path if page == README else Path(shutil.copytree(tutorial, tmp_path / tutorial.name))
    follow(page, start, environments)
