"""A new project that works at once: `server-jobs init`."""

from __future__ import annotations

import os
import re
from pathlib import Path

from server_jobs.project import Project, find_project
from server_jobs_generator.files.changes import check_inside
from server_jobs_generator.files.generated_file import File
from server_jobs_generator.python.code import Code
from server_jobs_generator.python.template import render

# A path in the new project, and the template it comes from.
_FILES = {
    ".gitignore": "gitignore",
    ".vscode/settings.json": "settings.json",
    "README.md": "README.md",
    "handlers/hello.py": "handler.py",
    "pyproject.toml": "pyproject.toml",
    "specs/hello.json": "hello.json",
    "tests/__init__.py": None,
    "tests/test_hello.py": "test_hello.py",
}
# Worth having, but no reason to refuse a folder that has its own.
_OPTIONAL = frozenset({".vscode/settings.json"})


def project_files(folder: Path) -> list[File]:
    """What `init` writes; the rest is generated from it. Settings of an editor that are there already stay."""
    name = Code(re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "jobs")
    return [
        File(path, render(f"project/{template}.jinja", name=name) if template else "")
        for path, template in _FILES.items()
        if not (path in _OPTIONAL and os.path.lexists(folder / path))
    ]


def conflicts(folder: Path, files: list[File]) -> list[str]:
    """The files that exist already and would be overwritten."""
    check_inside(folder, [file.path for file in files])
    return [file.path for file in files if (folder / file.path).exists() or (folder / file.path).is_symlink()]


def write_project(folder: Path, files: list[File]) -> Project:
    """Write the files, and return the project they make."""
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(file.text)
    return find_project(folder)
