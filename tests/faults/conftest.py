"""Sites and the nursery; the long form of each test is chosen by SERVER_JOBS_LONG_TESTS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Nursery
from tests.faults.site import KINDS, Site, open_site

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))

Figure = Callable[[str], None]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where processes come from."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """A new database with our tables and a history; the test runs once for each kind of database."""
    with open_site(request.param, tmp_path, nursery) as site:
        yield site


@pytest.fixture
def sqlite_site(tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """A new SQLite file with our tables and a history."""
    with open_site("sqlite", tmp_path, nursery) as site:
        yield site


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Say what the test counted; printed at the end of the run."""
    return lambda text: record_property("figure", text)
