"""A module for each job that tests of an application need: strategies for what it takes and returns, and a fake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import JobSpec
from ..python.code import Code, Group, docstring, header, import_names, lay_out
from ..python.template import render


def testing_modules(project: Project, jobs: Sequence[JobSpec]) -> Iterator[File]:
    """The package `testing`, one module for each job."""
    about = docstring("For tests: strategies for the params and results of every job, and a fake in the place of each.")
    folder = f"{project.output}/testing"
    yield File(f"{folder}/__init__.py", render("package_init.py.jinja", header=header(), docstring=about))
    for job in jobs:
        yield File(f"{folder}/{job.spec_name}.py", _module(job), job=job.class_name)


def _module(job: JobSpec) -> str:
    params, result = f"{job.class_name}Params", f"{job.class_name}Result"
    result_type = Code(f"{result} | Callable[[{params}], {result}] | None")
    arguments = Group(
        f"def fake_{job.spec_name}(",
        (("result: ", Code(f"{result_type} = None")), ("", Code("*")), ("error: ", Code("Exception | None = None"))),
        packed=True,
    )
    own = [
        import_names(f"..jobs.{job.spec_name}", [job.class_name]),
        import_names(f"..models.{job.spec_name}", [params, result]),
    ]
    return render(
        "testing.py.jinja",
        header=header(job.path),
        job=job,
        imports=Code("\n".join(own)),
        signature=lay_out(arguments, 0, 0, f" -> FakeJob[{params}, {result}]:"),
    )
