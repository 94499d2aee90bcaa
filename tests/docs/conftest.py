"""The project of the tutorial: made once for all processes of a test run, copied for each page."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.once import made_once, shared_folder
from tests.prepared import prepared_program

from .pages import FIRST_JOB, blocks
from .reader import Reader


@pytest.fixture(scope="session")
def programs() -> list[Path]:
    """Return the folders of the programs that a reader has installed."""
    return [Path(prepared_program()).parent, Path(sys.executable).parent]


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory, worker_id: str, programs: list[Path]) -> Path:
    """Return the project at the end of the first page of the tutorial. Do not change it."""
    folder = shared_folder(tmp_path_factory, worker_id)
    return made_once(folder / "tutorial", lambda folder: follow_tutorial(folder, programs))


def follow_tutorial(folder: Path, programs: list[Path]) -> Path:
    """Follow the first page in an empty folder, and return the folder of its project."""
    reader = Reader(folder, programs)
    for block in blocks(FIRST_JOB):
        reader.follow(block)
    reader.finish()
    return reader.folder


@pytest.fixture
def copy_of_tutorial(tutorial: Path, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies the project into the folder of the test."""
    return lambda: Path(shutil.copytree(tutorial, tmp_path / tutorial.name))
