"""What is uploaded with the Worker, as far as its configuration tells: folders, packages, the date it is made for."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath

from server_jobs.project import Project

from .finding import CodeFinding
from .rules import UNREADABLE

_DATE = re.compile(r'^[^/\n]*"compatibility_date"\s*:\s*"(\d{4}-\d\d-\d\d)"', re.MULTILINE)
_COMMAND = re.compile(r'^[^/\n]*"command"\s*:\s*"([^"\\\n]*\bbundle\.py\b[^"\\\n]*)"', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """`folders` (relative to `source`), `dependencies` and `date` are None where they cannot be told."""

    worker: str
    source: str
    folders: tuple[str, ...] | None = None
    dependencies: tuple[str, ...] | None = None
    date: str | None = None
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
        if self.worker in map(str, parent.parents):
            return False
        return any(file.is_relative_to(f"{self.source}{folder}") for folder in self.folders)


def read_upload(project: Project) -> Upload:
    """What the two files beside the Worker say; a file that is not there, or is not as it was made, says nothing."""
    worker, source = f"{project.output}/worker", "src/" if project.output.startswith("src/") else ""
    folders = tuple(folder.removeprefix("src/") for folder in (project.output, project.handlers))
    upload = Upload(worker=worker, source=source)
    wrangler, pyproject = _text(project, upload.wrangler), _text(project, upload.pyproject)
    command, date = _COMMAND.search(wrangler), _DATE.search(wrangler)
    dependencies, findings = _dependencies(upload.pyproject, pyproject)
    return Upload(
        worker=worker,
        source=source,
        folders=(*folders, *_arguments(command[1])) if command else None,
        dependencies=dependencies,
        date=date[1] if date else None,
        findings=findings,
    )


def _text(project: Project, path: str) -> str:
    file = project.root / path
    return file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""


def _arguments(command: str) -> list[str]:
    """The words behind `bundle.py`, up to the end of that command."""
    words = shlex.split(re.split(r"[;&|]", command.partition("bundle.py")[2])[0])
    return [str(PurePosixPath(word)) for word in words]


def _dependencies(path: str, text: str) -> tuple[tuple[str, ...] | None, tuple[CodeFinding, ...]]:
    try:
        listed = tomllib.loads(text).get("project", {}).get("dependencies")
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (1, 1)
        message = f"is not valid TOML: {error}"
        finding = CodeFinding(path, line, column, UNREADABLE.verdict, UNREADABLE.name, message, UNREADABLE.advice)
        return None, (finding,)
    return (tuple(map(str, listed)) if isinstance(listed, list) else None), ()
