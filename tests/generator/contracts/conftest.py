"""Fixtures for the tests of contracts."""

from __future__ import annotations

from pathlib import Path

import pytest

from .history import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)
