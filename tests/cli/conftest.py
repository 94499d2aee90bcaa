"""Fixtures for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.stores import create_sqlite_file

from .shop import Shop


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the database and terminal settings of the user who runs the tests."""
    for name in (
        *("SERVER_JOBS_DATABASE_URL", "TURSO_DATABASE_URL", "TURSO_AUTH_TOKEN"),
        *("FORCE_COLOR", "NO_COLOR", "COLUMNS"),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Return a migrated, empty database."""
    path = tmp_path / "shop.sqlite3"
    create_sqlite_file(path)
    return Shop(path)
