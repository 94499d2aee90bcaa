"""A server of these tests, and figures that are printed at once. SERVER_JOBS_LONG_TESTS selects the long form."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from bench.servers.postgres_server import postgres_server

from .server import new_database

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Yield the URL of a server with the default durability and autovacuum."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """Yield the URL of a new database with our tables."""
    with new_database(server) as url:
        yield url


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Callable[[object], None]:
    """Return a function that prints a figure while the test runs."""

    def show(figure: object) -> None:
        with capfd.disabled():
            print(figure, flush=True)

    return show
