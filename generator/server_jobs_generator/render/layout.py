"""The place and the owner of a generated file, and the imports between handlers and generated code."""

from __future__ import annotations

from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import JobSpec
from ..python.code import (
    header,
    render,
)


def owned_file(project: Project, path: str, template: str, *, of: JobSpec | None = None, **values: object) -> File:
    """Return a file that is rewritten, made from all specs or from `of`."""
    if of is None:
        return File(f"{project.output}/{path}", render(template, header=header(), **values))
    text = render(template, header=header(of.path), job=of, **values)
    return File(f"{project.output}/{path}", text, job=of.class_name)


def handlers_package(project: Project) -> tuple[str, bool]:
    """Return the package from which the registry imports handlers, and whether it is in the generated package."""
    if project.handlers.startswith(f"{project.output}/"):
        return "." + project.handlers.removeprefix(f"{project.output}/").replace("/", "."), True
    return project.handlers_package, False


def from_handlers(project: Project) -> str:
    """Return the text before `models` when a handler imports them."""
    package, inside = handlers_package(project)
    return "." * (package.count(".") + 1) if inside else f"{project.output_package}."
