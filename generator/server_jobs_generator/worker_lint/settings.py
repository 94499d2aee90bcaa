"""The files beside the Worker: wrangler.jsonc, with the place of each value, and pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import JsonValue
from server_jobs.project import Project

from ..read.document import Document, read_document
from .rules import UNREADABLE, CodeFinding, Rule

_BUNDLE = re.compile(r"\bbundle\.py\b([^;&|]*)")


@dataclass(frozen=True, slots=True)
class Settings:
    """Both files in the folder `worker`; one that is missing or cannot be read has no values.

    `dependencies` are None where they cannot be told; `sources` are the packages with a source of their own.
    """

    worker: PurePosixPath
    wrangler: Document | None = None
    dependencies: Sequence[str] | None = None
    sources: Sequence[str] = ()
    findings: Sequence[CodeFinding] = ()

    def at(self, *keys: str) -> JsonValue:
        """Return the value there in wrangler.jsonc, None if there is none."""
        return value_at(self.wrangler.value if self.wrangler else None, *keys)

    @property
    def excluded(self) -> list[str]:
        """The patterns of files that are not uploaded; a value that is no text counts as one that matches nothing."""
        listed = self.at("python_modules", "exclude")
        return [one if isinstance(one, str) else "" for one in listed] if isinstance(listed, list) else []

    def finding(self, rule: Rule, keys: tuple[str | int, ...], subject: str) -> CodeFinding:
        """Return the finding at a value, or at the nearest value around the place where it is missing."""
        line, column = self.wrangler.place(keys) if self.wrangler else (1, 1)
        return rule.found(f"{self.worker}/wrangler.jsonc", f"{subject}: {rule.why}", line, column)


def read_settings(project: Project) -> Settings:
    """Read both files."""
    worker = PurePosixPath(project.output, "worker")
    wrangler, pyproject = f"{worker}/wrangler.jsonc", f"{worker}/pyproject.toml"
    document, dependencies, sources, findings = None, None, list[str](), list[CodeFinding]()
    if (project.root / wrangler).is_file():
        reading = read_document(wrangler, (project.root / wrangler).read_bytes(), is_jsonc=True)
        findings += (UNREADABLE.found(wrangler, one.message, one.line, one.column) for one in reading.problems)
        document = None if reading.problems else reading.document
    if (project.root / pyproject).is_file():
        try:
            content = tomllib.loads((project.root / pyproject).read_bytes().decode("utf-8", "replace"))
        except tomllib.TOMLDecodeError as error:
            findings.append(UNREADABLE.found(pyproject, f"is not valid TOML: {error}"))
        else:
            dependencies = names_in(value_at(content, "project", "dependencies"))
            sources = names_in(value_at(content, "tool", "uv", "sources"))
    return Settings(worker, document, dependencies, sources, findings)


def is_uploaded(path: str, project: Project, settings: Settings) -> bool:
    """Return whether bundle.py collects a file of the project; True where that cannot be told."""
    bundled = _BUNDLE.search(str(settings.at("build", "command")))
    file, output = PurePosixPath(path), settings.worker.parent
    left_out = (output / "migrations", output / "testing")
    if bundled is None or settings.worker in file.parent.parents or any(map(file.is_relative_to, left_out)):
        return bundled is None
    source = "src" if project.output.startswith("src/") else ""
    folders = (project.output.removeprefix("src/"), project.handlers.removeprefix("src/"), *bundled[1].split())
    return any(file.is_relative_to(PurePosixPath(source, folder)) for folder in folders)


def value_at(value: JsonValue, *keys: str) -> JsonValue:
    """Return the value under these keys, None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def names_in(value: JsonValue) -> list[str]:
    """Return the texts in a list, or the keys of an object."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | dict) else []
