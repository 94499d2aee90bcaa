"""Workflow commands: what GitHub shows beside the lines of a pull request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .annotations import Annotation, Level
from .problems import printable

_COMMANDS: Mapping[Level, str] = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def github_lines(root: Path, found: Iterable[Annotation]) -> Iterator[str]:
    """One command for each; its path is relative to the repository, of which the project may be a folder."""
    prefix = _below_the_workspace(root)
    for one in found:
        place = f"file={_property(prefix + one.path)},line={one.line},col={one.column}"
        yield f"::{_COMMANDS[one.level]} {place},title={_property(one.rule)}::{_data(printable(one.message))}"


def _below_the_workspace(root: Path) -> str:
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if not workspace or not root.resolve().is_relative_to(Path(workspace).resolve()):
        return ""
    path = root.resolve().relative_to(Path(workspace).resolve()).as_posix()
    return "" if path == "." else f"{path}/"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
