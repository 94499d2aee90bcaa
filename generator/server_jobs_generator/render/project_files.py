"""The files that follow from the specs alone: models, jobs, handler stubs, the registry and the Worker project.

Templates lay out what is decided here. They print only `Code`, so text of a spec cannot become code by oversight.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path, PurePosixPath

from server_jobs import __version__
from server_jobs.project import Project

from ..contracts.earlier_versions import VersionStep
from ..files.generated_file import File, Ownership
from ..ir.spec import JobSpec
from ..models.model_module import render_all_models
from ..models.type_memory import TypeMemory
from ..outputs.selection import has_schemas, output_files
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
    name,
    tuple_of,
)
from ..python.template import render
from .engine_package import engine_package
from .job_class import attributes, base_of, job_imports

NO_STEPS: Mapping[str, Sequence[VersionStep]] = {}


def render_files(
    project: Project,
    jobs: Sequence[JobSpec],
    steps: Mapping[str, Sequence[VersionStep]] = NO_STEPS,
    kept: Container[str] = (),
    models: Iterable[str] | None = None,
) -> list[File]:
    """Every file but the migrations, and but those that follow from one of the `kept` jobs alone (their class names).

    The order of `jobs` does not matter. `models` are the modules of those that are not kept, by their class names, if
    they are rendered already. `steps` are those between the versions of each job that has several, by its class name.
    """
    ordered = sorted(jobs, key=lambda job: job.class_name)
    changed = [job for job in ordered if job.class_name not in kept]
    models = models or render_all_models(changed, TypeMemory())
    return [
        _owned(project, "__init__.py", "package_init.py.jinja", docstring=docstring("Generated from the specs.")),
        _owned(project, ".gitattributes", "gitattributes.jinja"),
        _models_index(project),
        *(_model(project, job, text) for job, text in zip(changed, models, strict=True)),
        _jobs_index(project, ordered),
        *(_job(project, job) for job in changed),
        File(f"{project.handlers}/__init__.py", render("handlers_init.py.jinja"), Ownership.ONCE),
        *(_handler(project, job) for job in changed),
        _registry(project, ordered, steps),
        *_worker(project),
        _schema_for_editors(project),
        *output_files(project, ordered, changed),
    ]


def _models_index(project: Project) -> File:
    about = docstring("The params and results of every job, as Pydantic models; one module for each job.")
    return _owned(project, "models/__init__.py", "package_init.py.jinja", docstring=about)


def _model(project: Project, job: JobSpec, text: str) -> File:
    return File(f"{project.output}/models/{job.spec_name}.py", text, job=job.class_name)


def _jobs_index(project: Project, jobs: Sequence[JobSpec]) -> File:
    if not jobs:
        return _owned(project, "jobs/__init__.py", "package_init.py.jinja", docstring=docstring("There are no jobs."))
    names = sorted((job.class_name for job in jobs), key=listing_order)
    return _owned(
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


def _job(project: Project, job: JobSpec) -> File:
    types = [Code(f"{job.class_name}{suffix}") for suffix in ("Params", "Result", "ParamsDict")]
    base = Group(f"{base_of(job)}[", tuple(("", each) for each in types), "]", packed=True)
    return _owned(
        project,
        f"jobs/{job.spec_name}.py",
        "job.py.jinja",
        of=job,
        imports=job_imports(job, f"..models.{job.spec_name}", types, ["JobSchemas"] if has_schemas(project) else []),
        class_line=lay_out(Group(f"class {name(job.class_name)}(", (("", base),), ")", packed=True), 0, 0, ":"),
        docstring=docstring(job.description or f"The job of {job.path}.", 4),
        attributes=[*attributes(job), *_schema_line(project, "database_schema = ")],
        has_schemas=has_schemas(project),
    )


def _schema_line(project: Project, before: str) -> list[Code]:
    """Return the PostgreSQL schema of the tables after this text, if the project has one."""
    return [] if project.schema is None else [Code(f"{before}{literal(project.schema)}")]


def _handler(project: Project, job: JobSpec) -> File:
    params, result = Code(f"{job.class_name}Params"), Code(f"{job.class_name}Result")
    runtime = import_names("server_jobs", ["HandlerNotImplementedError", "JobContext"])
    models = import_names(f"{from_handlers(project)}models.{job.spec_name}", [params, result])
    arguments = Group("async def handle(", (("params: ", params), ("context: ", Code("JobContext"))), ")", packed=True)
    text = render(
        "handler.py.jinja",
        job=job,
        about=docstring(f"The handler of {job.class_name}. Generated once: it is yours to write."),
        imports=Code(f"{runtime}\n\n{models}"),
        signature=lay_out(arguments, 0, 0, f" -> {result}:"),
        docstring=docstring(job.description or f"Run one {job.class_name}.", 4),
    )
    return File(f"{project.handlers}/{job.spec_name}.py", text, Ownership.ONCE, job.class_name)


def _registry(project: Project, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]]) -> File:
    versions = [step for each in steps.values() for step in each]
    runtime = [*(["EarlierVersion"] if versions else []), "JobRegistry", "create_job_registry"]
    return _owned(
        project,
        "registry.py",
        "registry.py.jinja",
        options=Code("".join(_schema_line(project, "database_schema="))),
        imports=import_names("server_jobs", runtime),
        registrations=[_registration(project, job, steps.get(job.class_name, ())) for job in jobs],
    )


def _registration(project: Project, job: JobSpec, steps: Sequence[VersionStep]) -> dict[str, Code]:
    decorator = call("registry.register_on_demand", literal(job.class_name), literal(f".jobs.{job.spec_name}"))
    signature = Group(f"def _{name(job.spec_name)}(", (("jobs: ", Code("JobRegistry")),))
    versions = {"earlier": tuple_of([_earlier_version(step) for step in steps])} if steps else {}
    registration = call("jobs.register", name(job.class_name), Code(f"{job.spec_name}.handle"), **versions)
    return {
        "decorator": lay_out(decorator, 0, 1),
        "signature": lay_out(signature, 0, 0, " -> None:"),
        "imports": _registry_imports(project, job, steps),
        "registration": lay_out(registration, 4, 4),
    }


def _registry_imports(project: Project, job: JobSpec, steps: Sequence[VersionStep]) -> Code:
    """What one job is registered with: its handler and its class, the upcasters and the models of its versions."""
    package, inside = _handlers_package(project)
    upcasts = [step.before.module for step in steps if step.needs_upcast]
    handlers = import_names(package, [job.spec_name, *upcasts], indent=4)
    places = {place for step in steps for place in (step.before.place, step.after.place)}
    models = [import_names(f".models.{module}", [model], indent=4) for module, model in places]
    local = [import_names(".jobs", [job.class_name], indent=4), *models]
    if inside:
        return Code("\n    ".join(sorted([handlers, *local])))
    return Code("\n    ".join([f"{handlers}\n", *sorted(local)]))


def _earlier_version(step: VersionStep) -> Group:
    """With both models in brackets, so that a type checker holds the upcaster against them."""
    before, after = name(step.before.class_name), name(step.after.class_name)
    upcast = [Code(f"{step.before.module}.upcast")] if step.needs_upcast else []
    arguments = (Code(step.before.version), before, *upcast)
    return Group(f"EarlierVersion[{before}, {after}](", tuple(("", each) for each in arguments), packed=True)


def _worker(project: Project) -> list[File]:
    folders = tuple_of([literal(folder) for folder in _source_folders(project)])
    depth = len(PurePosixPath(_without_src(project.output)).parts)
    engine = engine_package(project.root, Path(f"{project.output}/worker"))
    values: Mapping[str, Mapping[str, object]] = {
        "pyproject.toml": {"engine": literal(engine.requirement), "source": engine.source and literal(engine.source)}
    }
    about = docstring("The Cloudflare Worker project.")
    return [
        _owned(project, "worker/__init__.py", "package_init.py.jinja", docstring=about),
        _owned(project, "worker/entry.py", "worker_entry.py.jinja"),
        _owned(
            project,
            "worker/bundle.py",
            "worker_bundle.py.jinja",
            depth=Code(str(depth)),
            folders=lay_out(folders, 0, 10),
            package=name(project.output_package),
            version=literal(__version__),
            digest=literal(engine.digest),
        ),
        _owned(project, "worker/.gitignore", "worker_gitignore.jinja"),
        _owned(project, "worker/.dev.vars.example", "worker_dev_vars.jinja"),
        *(
            File(f"{project.output}/worker/{path}", render(f"{template}.jinja", **values.get(path, {})), Ownership.ONCE)
            for path, template in _WORKER_ONCE.items()
        ),
    ]


def _schema_for_editors(project: Project) -> File:
    """A copy in the project, so that an editor finds it wherever the package is installed."""
    text = files("server_jobs_generator").joinpath("spec.schema.json").read_text(encoding="utf-8")
    return File(f"{project.output}/spec.schema.json", text)


def worker_once_paths(project: Project) -> list[str]:
    """The files beside the Worker that are the user's once they are written."""
    return [f"{project.output}/worker/{path}" for path in _WORKER_ONCE]


_WORKER_ONCE: Mapping[str, str] = {
    "wrangler.jsonc": "wrangler.jsonc",
    "pyproject.toml": "worker_pyproject.toml",
    "package.json": "worker_package.json",
}


def _owned(project: Project, path: str, template: str, *, of: JobSpec | None = None, **values: object) -> File:
    """A file that is rewritten, made of all specs or `of` one."""
    if of is None:
        return File(f"{project.output}/{path}", render(template, header=header(), **values))
    text = render(template, header=header(of.path), job=of, **values)
    return File(f"{project.output}/{path}", text, job=of.class_name)


def _by_module(jobs: Sequence[JobSpec]) -> list[JobSpec]:
    """In the order in which the linter wants modules to be imported."""
    return sorted(jobs, key=lambda job: listing_order(job.spec_name))


def _handlers_package(project: Project) -> tuple[str, bool]:
    """How the registry imports the handlers, and whether they lie in the generated package."""
    if project.handlers.startswith(f"{project.output}/"):
        return "." + project.handlers.removeprefix(f"{project.output}/").replace("/", "."), True
    return project.handlers_package, False


def from_handlers(project: Project) -> str:
    """What stands before `models` when a handler imports them."""
    package, inside = _handlers_package(project)
    return "." * (package.count(".") + 1) if inside else f"{project.output_package}."


def _source_folders(project: Project) -> list[str]:
    _, inside = _handlers_package(project)
    return [_without_src(folder) for folder in ((project.output,) if inside else (project.output, project.handlers))]


def _without_src(folder: str) -> str:
    return folder.removeprefix("src/")
