"""The picture of the packages and their layers, from the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence

from ..sources import ROOT
from .svg import Drawing

_WIDTH = 860
_ROW, _GAP, _TOP = 26, 6, 56
COLUMNS: Mapping[str, tuple[int, int, str]] = {
    "server_jobs_cli": (10, 300, "#8250df"),
    "server_jobs_generator": (335, 215, "#bf8700"),
    "server_jobs": (575, 275, "#2f81f7"),
}
"""The left edge, the width and the colour of each package, from the highest to the lowest."""


def layers() -> dict[str, Sequence[str]]:
    """Return the layers of each package, the highest first, as `lint-imports` checks them."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    found = {
        one["containers"][0]: one["layers"] for one in contracts if one["type"] == "layers" and "containers" in one
    }
    return {package: found[package] for package in COLUMNS}


def draw() -> str:
    """Return the SVG."""
    stacks = layers()
    height = _TOP + max(map(len, stacks.values())) * (_ROW + _GAP) + 30
    drawing = Drawing("architecture", "The packages and their layers", _WIDTH, height)
    for package, stack in stacks.items():
        left, width, colour = COLUMNS[package]
        drawing.box(left, 10, width, 34, stroke=colour)
        drawing.text(left + width / 2, 32, package, kind="bold")
        for number, layer in enumerate(stack):
            y = _TOP + number * (_ROW + _GAP)
            drawing.box(left, y, width, _ROW)
            drawing.text(left + width / 2, y + 18, layer.replace(" | ", " · "), kind="soft")
    drawing.arrow("M310 27H333")
    drawing.arrow("M550 27H573")
    note = "Packages import only from packages to the right. Layers import only from layers below."
    drawing.text(10, height - 10, note, kind="soft", anchor="start")
    return drawing.svg()
