"""Workflow commands: what GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from server_jobs_generator.problems.problem import printable

from .annotations import Annotation, Level

_COMMANDS: Mapping[Level, str] = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def github_lines(found: Iterable[Annotation]) -> Iterator[str]:
    """One command for each. Paths have to be relative to the repository."""
    for one in found:
        place = f"file={_property(one.path)},line={one.line},col={one.column}"
        yield f"::{_COMMANDS[one.level]} {place},title={_property(one.rule)}::{_data(printable(one.message))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
