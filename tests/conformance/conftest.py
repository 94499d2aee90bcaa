"""The stores on which each test of this folder runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from server_jobs.databases.turso import database as turso
from server_jobs.testing.conformance.conftest import clock as clock
from server_jobs.testing.conformance.conftest import store as store

from tests.conformance.hrana_server import HranaServer
from tests.conformance.postgres_databases import empty_database, postgres_connection
from tests.conformance.stores import STORES, TURSO_TOKEN, OpenStore, create_sqlite_file
from tests.slow import slow

# D1 and Turso get the statements of SQLite. The state machine takes random ones to Turso, and `turso` tests the way
# there. `make test-worker` takes the whole suite to D1 in workerd.
SLOW = ("d1", "turso")


@pytest.fixture(params=[slow(name) if name in SLOW else name for name in STORES])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Return a function that opens a new, empty store; the test runs once for each kind of store."""
    return STORES[request.param]


@pytest.fixture
def url() -> Iterator[str]:
    """A PostgreSQL database with empty tables."""
    with empty_database() as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    """Yield a second connection to the same database."""
    with postgres_connection(url) as connection:
        yield connection


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HranaServer]:
    """Yield a libSQL server with empty tables that requires a token. Clients retry without long pauses."""
    monkeypatch.setattr(turso, "_PAUSES", (0.001, 0.002))
    monkeypatch.delenv("TURSO_AUTH_TOKEN", raising=False)
    create_sqlite_file(tmp_path / "turso.sqlite3")
    with HranaServer(tmp_path / "turso.sqlite3", TURSO_TOKEN) as server:
        yield server
