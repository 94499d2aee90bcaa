"""The environments and projects that all tests here share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import FIRST_JOB
from tests.once import made_once, shared_folder

from .environments import Environments, newer_python
from .projects import follow, make_project


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of all processes."""
    return shared_folder(tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def environments(shared: Path) -> Environments:
    """Return environments that are made once, because installing takes most of the time."""
    return Environments(shared / "environments")


@pytest.fixture(scope="session")
def newer_environments(shared: Path) -> Environments:
    """Return environments with a Python for Django 6."""
    return Environments(shared / "newer-environments", python=newer_python())


@pytest.fixture(scope="session")
def project(shared: Path, environments: Environments) -> Path:
    """Return a project with generated code and a handler, to be copied."""
    return made_once(shared / "project", lambda folder: make_project(folder, environments))


@pytest.fixture(scope="session")
def tutorial(shared: Path, environments: Environments) -> Path:
    """Return the project at the end of the first page of the tutorial, to be copied."""
    return made_once(shared / "tutorial", lambda folder: follow(FIRST_JOB, folder, environments).folder)
