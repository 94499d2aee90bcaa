"""The files of jobs: models, job classes, handler stubs, upcasters, the registry, schemas, and fakes for tests.

Templates only lay out the values computed here. They print only `Code`, so text of a spec cannot become code by
mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from server_jobs.project import Project

from ..contracts.job_history import VersionStep
from ..files.generated_file import File, Ownership
from ..ir.spec import JobSpec
from ..models.type_text import python_value
from ..outputs import TESTING, has_schemas
from ..python.code import (
    Code,
    Expression,
    Group,
    assignment,
    call,
    docstring,
    header,
    import_names,
    lay_out,
    listing_order,
    literal,
    one_a_line,
    package_module,
    render,
)
from .job_class import job_class, result_type
from .layout import from_handlers, owned_file
from .registry import registry

_ABOUT_SCHEMAS = "The params and results of every job as JSON Schema, word for word those of the specs."
_ABOUT_TESTING = "For tests: strategies for the params and results of every job, and a fake in the place of each."


def job_files(
    project: Project,
    jobs: Sequence[JobSpec],
    changed: Sequence[JobSpec],
    steps: Mapping[str, Sequence[VersionStep]],
    models: Sequence[str],
    changes: Mapping[str, Sequence[str]],
) -> list[File]:
    """Return the files of all jobs together, and the files of each of the `changed` jobs.

    `jobs` are sorted by class name. `steps` are the steps between versions of each job with several, by class name.
    `models` are the modules with the models of the changed jobs. `changes` are lines about the last change of each of
    them that has one.
    """
    about_models = "The params and results of every job, as Pydantic models; one module for each job."
    about_handlers = (
        "The handlers, one module for each job. Generated once: edit this file and everything in this folder"
    )
    return [
        File(f"{project.output}/models/__init__.py", package_module(about_models)),
        *(
            File(f"{project.output}/models/{job.spec_name}.py", text, job=job.class_name)
            for job, text in zip(changed, models, strict=True)
        ),
        _jobs_index(project, jobs),
        *(job_class(project, job, changes.get(job.class_name, ())) for job in changed),
        File(f"{project.handlers}/__init__.py", f"{docstring(f'{about_handlers} freely.')}\n", Ownership.ONCE),
        *(_handler(project, job) for job in changed),
        registry(project, jobs, steps),
        *_selected_modules(project, changed),
    ]


def _jobs_index(project: Project, jobs: Sequence[JobSpec]) -> File:
    if not jobs:
        return File(f"{project.output}/jobs/__init__.py", package_module("There are no jobs."))
    names = sorted((job.class_name for job in jobs), key=listing_order)
    return owned_file(
        project,
        "jobs/__init__.py",
        "jobs_init.py.jinja",
        about=docstring(
            f"Every job of this project; `await {names[0]}.later(...)` enqueues one. "
            "Each is imported when it is first used."
        ),
        imports=[import_names(f".{job.spec_name}", [job.class_name], indent=4) for job in _by_module(jobs)],
        modules=_job_modules(_by_module(jobs)),
        listing=assignment("__all__", Group("[", tuple(("", literal(each)) for each in names), "]")),
    )


def _job_modules(jobs: Sequence[JobSpec]) -> Code:
    modules: dict[str, Expression] = {job.class_name: literal(job.spec_name) for job in jobs}
    group = call("imported_when_used", Code("__name__"), **modules)
    return assignment("__getattr__", replace(group, packed=False), 4)


def _by_module(jobs: Sequence[JobSpec]) -> list[JobSpec]:
    """Sort jobs in the order in which the linter wants their modules to be imported."""
    return sorted(jobs, key=lambda job: listing_order(job.spec_name))


def _handler(project: Project, job: JobSpec) -> File:
    params, result = Code(f"{job.class_name}Params"), result_type(job)
    runtime = import_names("server_jobs", ["HandlerNotImplementedError", "JobContext"])
    models = import_names(f"{from_handlers(project)}models.{job.spec_name}", [params, *[result] * job.has_result])
    arguments = Group("async def handle(", (("params: ", params), ("context: ", Code("JobContext"))), ")", packed=True)
    text = render(
        "stub.py.jinja",
        about=docstring(f"The handler of {job.class_name}. Generated once: edit it freely."),
        imports=Code(f"{runtime}\n\n{models}"),
        signature=lay_out(arguments, 0, 0, f" -> {result}:"),
        docstring=docstring(job.description or f"Run one {job.class_name}.", 4),
        error=Code(f"HandlerNotImplementedError({literal(job.class_name)})"),
    )
    return File(f"{project.handlers}/{job.spec_name}.py", text, Ownership.ONCE, job.class_name)


def _selected_modules(project: Project, jobs: Sequence[JobSpec]) -> Iterator[File]:
    """Yield the modules that a project selects with `outputs`."""
    if has_schemas(project):
        yield from _modules(project, jobs, "schemas", _ABOUT_SCHEMAS, schema_module)
    if TESTING in project.outputs:
        yield from _modules(project, jobs, "testing", _ABOUT_TESTING, _testing_module)


def _modules(
    project: Project, jobs: Sequence[JobSpec], folder: str, about: str, text_of: Callable[[JobSpec], str]
) -> Iterator[File]:
    """Yield a package in the output folder, with a module for each job."""
    yield File(f"{project.output}/{folder}/__init__.py", package_module(about))
    for job in jobs:
        yield File(f"{project.output}/{folder}/{job.spec_name}.py", text_of(job), job=job.class_name)


def schema_module(job: JobSpec) -> str:
    """Return a module with the schemas of a job as Python values, which the job class returns at run time."""
    parts: dict[str, Expression] = {"params": python_value(job.params), "result": python_value(job.result)}
    if job.description:
        parts["description"] = literal(job.description)
    about = docstring(f"What {job.class_name} takes and returns, as JSON Schema.")
    schemas = assignment("SCHEMAS", one_a_line(call("JobSchemas", **parts)))
    return "\n\n".join((header(job.path), about, import_names("server_jobs", ["JobSchemas"]), schemas)) + "\n"


def _testing_module(job: JobSpec) -> str:
    """Return a module with strategies for params and result, and a fake, for tests of an application."""
    params, result = f"{job.class_name}Params", result_type(job)
    own_result = f"{result} | " if job.has_result else ""
    argument = Code(f"{own_result}Callable[[{params}], {result}] | None")
    arguments = Group(
        f"def fake_{job.spec_name}(",
        (("result: ", Code(f"{argument} = None")), ("", Code("*")), ("error: ", Code("Exception | None = None"))),
        packed=True,
    )
    own = [
        import_names(f"..jobs.{job.spec_name}", [job.class_name]),
        import_names(f"..models.{job.spec_name}", [params, *[result] * job.has_result]),
    ]
    return render(
        "testing.py.jinja",
        header=header(job.path),
        job=job,
        result=result,
        imports=Code("\n".join(own)),
        signature=lay_out(arguments, 0, 0, f" -> FakeJob[{params}, {result}]:"),
    )
