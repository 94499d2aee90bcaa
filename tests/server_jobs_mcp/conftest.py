"""The fixtures of the tests of the command line."""

from __future__ import annotations

from tests.cli.conftest import _no_surroundings as _no_surroundings
from tests.cli.conftest import shop as shop
