"""Parameters of tests that `make test` leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet


def slow(*values: object) -> ParameterSet:
    """Return these values for one parametrized test, marked as slow. Other values are the short form."""
    return pytest.param(*values, marks=pytest.mark.slow)
