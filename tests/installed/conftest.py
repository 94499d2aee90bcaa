"""The environments that all tests here share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .environments import Environments


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """Return environments that are made once, because installing takes most of the time."""
    return Environments(tmp_path_factory.mktemp("environments"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, environments: Environments) -> Path:
    """Return a project with generated code and a handler, to be copied."""
    from .projects import make_project

    return make_project(tmp_path_factory.mktemp("project"), environments)
