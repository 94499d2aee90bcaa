"""A module for each job with its schemas as Python values, for whatever asks the job class for them at run time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import JobSpec
from ..python.code import Expression, assignment, call, docstring, header, import_names, literal, one_a_line
from ..python.template import render
from .python_value import python_value


def schema_modules(project: Project, jobs: Sequence[JobSpec]) -> Iterator[File]:
    """The package `schemas`, one module for each job."""
    about = docstring("The params and results of every job as JSON Schema, word for word those of the specs.")
    folder = f"{project.output}/schemas"
    yield File(f"{folder}/__init__.py", render("package_init.py.jinja", header=header(), docstring=about))
    for job in jobs:
        yield File(f"{folder}/{job.spec_name}.py", _module(job), job=job.class_name)


def _module(job: JobSpec) -> str:
    parts: dict[str, Expression] = {"params": python_value(job.params), "result": python_value(job.result)}
    if job.description:
        parts["description"] = literal(job.description)
    return render(
        "schemas.py.jinja",
        header=header(job.path),
        about=docstring(f"What {job.class_name} takes and returns, as JSON Schema."),
        imports=import_names("server_jobs", ["JobSchemas"]),
        schemas=assignment("SCHEMAS", one_a_line(call("JobSchemas", **parts))),
    )
