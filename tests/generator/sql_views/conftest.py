"""One SQLite and one PostgreSQL database for the tests of views; each test is rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from .view_databases import ViewDatabase, opened, view_engine


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with view_engine(request.param, tmp_path_factory.mktemp("views")) as engine:
        yield engine


@pytest.fixture
def database(engine: Engine) -> Iterator[ViewDatabase]:
    with opened(engine) as database:
        yield database
