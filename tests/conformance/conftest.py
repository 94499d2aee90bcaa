"""The stores on which each test of this folder runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from server_jobs.testing.conformance.conftest import clock as clock
from server_jobs.testing.conformance.conftest import store as store
from server_jobs_turso import database as turso

from tests.conformance.hrana_server import HranaServer
from tests.conformance.postgres_databases import empty_database, postgres_connection
from tests.conformance.stores import STORES, TURSO_TOKEN, OpenStore, create_sqlite_file
from tests.slow import slow

# D1 and Turso get the statements of SQLite. `make test-slow` takes to them the parts that depend on the way there:
# values, many rows, results of a batch, conflicts. The state machine takes random calls to both. `turso` tests its
# protocol. `make test-worker` takes each test of one store to D1 in workerd, so these leave out the fake of D1.
SLOW = ("d1", "turso")
PARTS = (
    "values",
    "insert",
    "big_batches",
    "claim",
    "repeated_claims",
    "repeated_statements",
    "settle",
    "conflicts",
    "reading",
    "search",
)
IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the other parts on D1 and Turso, and what runs in workerd, except in the long form."""
    if not IS_LONG:
        left_out = {item for item in items if _is_left_out(item)}
        config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    name = item.callspec.params.get("open_store")
    is_in_workerd = name == "d1" and "store" in item.fixturenames
    return name in SLOW and (is_in_workerd or item.path.stem[5:] not in PARTS)


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
