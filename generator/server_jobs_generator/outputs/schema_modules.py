"""A module for each job with its schemas as Python values, for whatever asks the job class for them at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue
from server_jobs.project import Project

from ..default_value import plain_value
from ..files import File
from ..layout import Code, Expression, Group, assignment, call, docstring, header, import_names, literal, one_a_line
from ..render import render
from ..spec import JobSpec


def schema_modules(project: Project, jobs: Sequence[JobSpec]) -> Iterator[File]:
    """The package `schemas`, one module for each job."""
    about = docstring("The params and results of every job as JSON Schema, word for word those of the specs.")
    folder = f"{project.output}/schemas"
    yield File(f"{folder}/__init__.py", render("package_init.py.jinja", header=header(), docstring=about))
    for job in jobs:
        yield File(f"{folder}/{job.spec_name}.py", _module(job))


def _module(job: JobSpec) -> str:
    parts: dict[str, Expression] = {"params": _value(job.params), "result": _value(job.result)}
    if job.description:
        parts["description"] = literal(job.description)
    return render(
        "schemas.py.jinja",
        header=header(job.path),
        about=docstring(f"What {job.class_name} takes and returns, as JSON Schema."),
        imports=import_names("server_jobs", ["JobSchemas"]),
        schemas=assignment("SCHEMAS", one_a_line(call("JobSchemas", **parts))),
    )


def _value(value: JsonValue | Mapping[str, JsonValue]) -> Expression:
    match value:
        case list():
            return Group("[", tuple(("", _value(item)) for item in value), "]")
        case Mapping():
            return Group("{", tuple((f"{literal(key)}: ", _value(inner)) for key, inner in value.items()), "}")
        case _:
            return Code(plain_value(value))
