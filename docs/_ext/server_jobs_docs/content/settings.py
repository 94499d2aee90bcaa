"""The settings of a project and the extras of the package, from `Project` and pyproject.toml."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol

from server_jobs.project import ALLOWABLE, Project
from server_jobs_cloudflare.command_line.settings import CloudflareSettings
from server_jobs_generator.outputs import output_names
from server_jobs_outputs.kubernetes.settings import KubernetesSettings, WorkerGroup
from sphinx.pycode import ModuleAnalyzer

from ..markdown import code, codes, sentence, table
from ..sources import ROOT

NOT_KEYS = ("root", "name", "plug_in_tables")
"""Fields of `Project` that are not keys."""

_KINDS = {"databases": "table of strings", "types": "table of strings", "groups": "tables", "queues": "list of strings"}
_VALUES = {"outputs": output_names(), "allow": ALLOWABLE}


class _Settings(Protocol):
    """A dataclass of settings."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def project_settings() -> str:
    """Return the table of the keys under `[tool.server-jobs]`."""
    return _table(Project, *NOT_KEYS)


def cloudflare_settings() -> str:
    """Return the table of the keys under `[tool.server-jobs.cloudflare]`."""
    return _table(CloudflareSettings)


def kubernetes_settings() -> str:
    """Return the table of the keys under `[tool.server-jobs.kubernetes]`."""
    return _table(KubernetesSettings)


def group_settings() -> str:
    """Return the table of the keys of a group of workers."""
    return _table(WorkerGroup, "name")


def _table(settings: type[_Settings], *without: str) -> str:
    return table(("Key", "Value", "Default", "Meaning"), rows(settings, *without))


def rows(settings: type[_Settings], *without: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row per key: each field of a dataclass but some."""
    meanings = ModuleAnalyzer.for_module(settings.__module__).find_attr_docs()
    for field in fields(settings):
        if field.name in without:
            continue
        words = _VALUES.get(field.name)
        value = f"list of {codes(words)}" if words else _KINDS.get(field.name) or _kind_of(field.default)
        meaning = " ".join(meanings[settings.__name__, field.name]).split(", from ")[0]
        yield code(field.name.replace("_", "-")), value, _default(field.default, value), sentence(meaning)


def _kind_of(default: object) -> str:
    match default:
        case bool():
            return "boolean"
        case int():
            return "number"
        case _:
            return "string"


def _default(value: object, kind: str) -> str:
    match value:
        case bool():
            return code(str(value).lower())
        case None | "" | dataclasses.MISSING:
            return "none"
        case () if kind.startswith("table"):
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
