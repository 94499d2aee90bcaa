"""What is uploaded with the Worker, as far as its configuration tells: folders, packages, the date it is made for."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from server_jobs.project import Project

from .finding import CodeFinding
from .rules import UNREADABLE
from .settings import Settings, read_settings

ENGINE = "server-jobs"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LEFT_OUT = ("migrations", "testing")
_BUNDLE = re.compile(r"\bbundle\.py\b([^;&|]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """`folders` (relative to `source`), `dependencies` and `date` are None where they cannot be told.

    `settings` come from wrangler.jsonc. `sources` are the packages with a source in pyproject.toml.
    """

    worker: str
    source: str
    folders: tuple[str, ...] | None = None
    dependencies: tuple[str, ...] | None = None
    sources: frozenset[str] = frozenset()
    date: str | None = None
    settings: Settings = field(default_factory=Settings)
    findings: tuple[CodeFinding, ...] = ()

    @property
    def pyproject(self) -> str:
        """The file that lists the packages."""
        return f"{self.worker}/pyproject.toml"

    @property
    def wrangler(self) -> str:
        """The file that says what wrangler does."""
        return f"{self.worker}/wrangler.jsonc"

    def has(self, path: str) -> bool:
        """Whether a file, relative to the project's root, is uploaded; True where it cannot be told."""
        if self.folders is None:
            return True
        file, parent = PurePosixPath(path), PurePosixPath(path).parent
        output = self.worker.removesuffix("/worker")
        if self.worker in map(str, parent.parents) or any(file.is_relative_to(f"{output}/{one}") for one in _LEFT_OUT):
            return False
        return any(file.is_relative_to(f"{self.source}{folder}") for folder in self.folders)


def read_upload(project: Project) -> Upload:
    """What the two files beside the Worker say; a file that is not there, or is not as it was made, says nothing."""
    worker, source = f"{project.output}/worker", "src/" if project.output.startswith("src/") else ""
    folders = tuple(folder.removeprefix("src/") for folder in (project.output, project.handlers))
    upload = Upload(worker=worker, source=source)
    settings = read_settings(project, upload.wrangler, is_jsonc=True)
    command, date = settings.at("build", "command"), settings.at("compatibility_date")
    bundled = _BUNDLE.search(command) if isinstance(command, str) else None
    dependencies, sources, findings = _dependencies(upload.pyproject, _text(project, upload.pyproject))
    return Upload(
        worker=worker,
        source=source,
        folders=(*folders, *_arguments(bundled[1])) if bundled else None,
        dependencies=dependencies,
        sources=sources,
        date=date if isinstance(date, str) and _DATE.fullmatch(date) else None,
        settings=settings,
        findings=findings,
    )


def _text(project: Project, path: str) -> str:
    file = project.root / path
    return file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""


def _arguments(text: str) -> list[str]:
    """The words behind `bundle.py`, up to the end of that command."""
    try:
        return [str(PurePosixPath(word)) for word in shlex.split(text)]
    except ValueError:  # a quotation that does not end
        return []


def _dependencies(path: str, text: str) -> tuple[tuple[str, ...] | None, frozenset[str], tuple[CodeFinding, ...]]:
    """Return the listed packages, the packages with a source, and the problems of the file."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (1, 1)
        message = f"is not valid TOML: {error}"
        finding = CodeFinding(path, line, column, UNREADABLE.verdict, UNREADABLE.name, message, UNREADABLE.advice)
        return None, frozenset(), (finding,)
    listed = _table(document, "project").get("dependencies")
    sources = _table(document, "tool", "uv", "sources")
    return (tuple(map(str, listed)) if isinstance(listed, list) else None), frozenset(map(str, sources)), ()


def _table(document: object, *keys: str) -> Mapping[object, object]:
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}
