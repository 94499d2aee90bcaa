"""The settings of a project and the extras of the package, from `Project` and pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields

from server_jobs import project
from server_jobs.project import ALLOWABLE, OUTPUTS, Project
from sphinx.pycode import ModuleAnalyzer

from ..markdown import code, codes, sentence, table
from ..sources import ROOT

_NOT_SETTINGS = ("root", "name")
_VALUES = {"outputs": OUTPUTS, "allow": ALLOWABLE}


def project_settings() -> str:
    """Return the table of the keys under `[tool.server-jobs]`."""
    return table(("Key", "Value", "Default", "Meaning"), rows())


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield a row per key."""
    analyzer = ModuleAnalyzer.for_module(project.__name__)
    meanings = analyzer.find_attr_docs()
    for field in fields(Project):
        if field.name in _NOT_SETTINGS:
            continue
        words = _VALUES.get(field.name)
        value = f"list of {codes(words)}" if words else "string"
        meaning = " ".join(meanings["Project", field.name]).split(", from ")[0]
        yield code(field.name.replace("_", "-")), value, _default(field.default), sentence(meaning)


def _default(value: object) -> str:
    match value:
        case None:
            return "none"
        case ():
            return "`[]`"
        case _:
            return code(value)


def extras() -> str:
    """Return the table of the extras and the packages that each installs."""
    return table(("Extra", "Packages"), ((code(f"server-jobs[{name}]"), codes(found)) for name, found in _extras()))


def _extras() -> Iterator[tuple[str, list[str]]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared: Mapping[str, list[str]] = tomllib.loads(text)["project"]["optional-dependencies"]
    for name, requirements in declared.items():
        yield name, [one.split(";")[0] for one in requirements if "emscripten" not in one]
