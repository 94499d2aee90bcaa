"""Every page from top to bottom, in an environment with only the packages that the tutorial and the page install."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import FIRST_JOB, README, blocks, installs, name_of, pages
from tests.docs.reader import Reader

from .environments import Environments
from .projects import GENERATOR


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory, environments: Environments) -> Path:
    """The project at the end of the first page of the tutorial."""
    return follow(FIRST_JOB, tmp_path_factory.mktemp("tutorial"), environments).folder


def follow(page: Path, folder: Path, environments: Environments) -> Reader:
    """Follow a page. Each `pip install` in a block adds to the environment."""
    packages = [GENERATOR]
    reader = Reader(folder, [environments.programs(GENERATOR)])
    for block in blocks(page):
        if block.language == "bash":
            packages += [line for line in installs(block.text) if line not in packages]
            reader.programs = (environments.programs(" ".join(packages)),)
        reader.follow(block)
    reader.finish()
    return reader


@pytest.mark.parametrize("page", [page for page in pages() if page != FIRST_JOB], ids=name_of)
def test_a_page_works_with_what_it_installs(
    page: Path, tmp_path: Path, tutorial: Path, environments: Environments
) -> None:
    start = tmp_path if page == README else Path(shutil.copytree(tutorial, tmp_path / tutorial.name))
    follow(page, start, environments)
