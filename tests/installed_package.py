"""Packages that a test installs for one process, with entry points as any package on the index has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, name: str, module: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """Write a package with one module, named like the package, into a folder that is on the path of the process.

    `entry_points` has the values by group and name.
    """
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / f"{name}.py").write_text(module, encoding="utf-8")
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    groups = (
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in entry_points.items()
    )
    (information / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
