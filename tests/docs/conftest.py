"""The project of the tutorial: made once for all processes of a test run, copied for each page."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from .pages import FIRST_JOB, blocks
from .prepared import prepared_command
from .reader import Reader


@pytest.fixture(scope="session")
def programs() -> Iterator[list[Path]]:
    """Yield the folders of the programs that a reader has installed."""
    with prepared_command() as folder:
        yield [folder, Path(sys.executable).parent]


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory, worker_id: str, programs: list[Path]) -> Path:
    """Return the project at the end of the first page of the tutorial. Do not change it."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":  # pytest-xdist: the folder of all workers
        folder = folder.parent
    finished = folder / "tutorial.txt"
    with FileLock(folder / "tutorial.lock"):
        if not finished.exists():
            shutil.rmtree(folder / "tutorial", ignore_errors=True)
            (folder / "tutorial").mkdir()
            finished.write_text(str(follow_tutorial(folder / "tutorial", programs)), encoding="utf-8")
    return Path(finished.read_text(encoding="utf-8"))


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
