"""The picture of the packages and their layers, from the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from ..sources import ROOT
from .svg import LINE_HEIGHT, Drawing

_WIDTH = 860
_ROW, _GAP, _TOP = 26, 6, 56
_SEPARATOR = " · "
COLUMNS: Mapping[str, tuple[int, int, str]] = {
    "server_jobs_cli": (10, 300, "#8250df"),
    "server_jobs_generator": (335, 215, "#bf8700"),
    "server_jobs": (575, 275, "#2f81f7"),
}
"""The left edge, the width and the colour of each package, from the highest to the lowest."""
CORE = "server_jobs"
CORE_LAYERS = ("Tests and migrations", "Calls of an application", "Engine", "Storage", "Definitions of jobs", "Domain")
"""The names of the layers of the core, from the highest to the lowest."""
_CORE_LINE = 38
"""The most characters of a line in a layer of the core."""


def layers() -> dict[str, Sequence[str]]:
    """Return the layers of each package, the highest first, as `lint-imports` checks them."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    found = {
        one["containers"][0]: one["layers"] for one in contracts if one["type"] == "layers" and "containers" in one
    }
    return {package: found[package] for package in COLUMNS}


def modules_of(layer: str) -> list[str]:
    """Return the modules and folders of a layer."""
    return re.split(r" [|:] ", layer)


def draw() -> str:
    """Return the SVG."""
    stacks = layers()
    rows = {package: [*_rows(package, stack)] for package, stack in stacks.items()}
    height = _TOP + max(sum(_height(row) + _GAP for row in stack) for stack in rows.values()) + 30
    drawing = Drawing("architecture", "The packages and their layers", _WIDTH, height)
    for package, stack in rows.items():
        left, width, colour = COLUMNS[package]
        drawing.box(left, 10, width, 34, stroke=colour)
        drawing.text(left + width / 2, 32, package, kind="bold")
        top = _TOP
        for title, lines in stack:
            drawing.box(left, top, width, _height((title, lines)))
            if title:
                drawing.text(left + width / 2, top + 18, title)
            drawing.lines(left + width / 2, top + 18 + (LINE_HEIGHT if title else 0), lines)
            top += _height((title, lines)) + _GAP
    drawing.arrow("M310 27H333")
    drawing.arrow("M550 27H573")
    note = "Packages import only from packages to the right. Layers import only from layers below."
    drawing.text(10, height - 10, note, kind="soft", anchor="start")
    return drawing.svg()


def _rows(package: str, stack: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the title, if it has one, and the lines of each layer."""
    if package != CORE:
        yield from (("", [_SEPARATOR.join(modules_of(layer))]) for layer in stack)
        return
    for title, layer in zip(CORE_LAYERS, stack, strict=True):
        yield title, wrap(", ".join(modules_of(layer)), _CORE_LINE)


def _height(row: tuple[str, list[str]]) -> int:
    title, lines = row
    return _ROW + LINE_HEIGHT * (len(lines) - 1 + bool(title))
