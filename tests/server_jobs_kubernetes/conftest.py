"""Fixtures for the tests of pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .site import Site, make_site_project, open_site


@pytest.fixture(scope="module")
def site_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the generated project."""
    return make_site_project(tmp_path_factory.mktemp("site") / "project")


@pytest.fixture
def site(site_project: Path, tmp_path: Path) -> Iterator[Site]:
    """Return the project in a cluster of its own, with an empty database."""
    with open_site(site_project, tmp_path) as site:
        yield site
