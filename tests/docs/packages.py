"""The packages of the wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
_WHEEL = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]

PACKAGES: tuple[str, ...] = tuple(_WHEEL["packages"])
"""The folder of each, from the root of the repository."""
