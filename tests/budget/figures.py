"""Read the table of figures, and compare a measured value with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import cast

TABLE = Path(__file__).with_name("figures.toml")

Section = dict[str, float]


def read_table() -> dict[str, Section]:
    """Return the figures of each section, with its `tolerance`."""
    return cast("dict[str, Section]", tomllib.loads(TABLE.read_text(encoding="utf-8")))


def assert_figure(section: str, name: str, measured: float) -> None:
    """Fail if a measured value is above its figure, or, in a section without a tolerance, if it differs."""
    figures = read_table()[section]
    figure, tolerance = figures[name], figures.get("tolerance")
    where = f"{section}.{name} in {TABLE.name} is {figure:g}, and this run measured {measured:g}"
    assert measured <= figure * (1 + (tolerance or 0)), f"{where}: a job costs more than before"
    assert tolerance is not None or measured == figure, f"{where}: lower the figure"
