"""Sites and the nursery. SERVER_JOBS_LONG_TESTS selects the long form of each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Nursery
from tests.faults.site import KINDS, Site, open_site
from tests.slow import slow

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))

Figure = Callable[[str], None]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Yield the nursery, which starts processes."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(params=[slow(kind) if kind == "postgresql" and not IS_LONG else kind for kind in KINDS])
def site(request: pytest.FixtureRequest, tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """Yield a new database with empty tables and a history; the test runs once for each kind of database."""
    with open_site(request.param, tmp_path, nursery) as site:
        yield site


@pytest.fixture
def sqlite_site(tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """Yield a new SQLite file with empty tables and a history."""
    with open_site("sqlite", tmp_path, nursery) as site:
        yield site


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that records a figure, printed at the end of the run."""
    return lambda text: record_property("figure", text)
