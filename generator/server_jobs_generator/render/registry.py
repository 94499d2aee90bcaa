"""The registry, which joins each job with its handler and its earlier versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server_jobs.project import Project

from ..contracts.job_history import VersionStep
from ..files.generated_file import File
from ..ir.spec import JobSpec
from ..python.code import (
    Code,
    Expression,
    Group,
    call,
    import_names,
    lay_out,
    literal,
    name,
    tuple_of,
)
from .layout import handlers_package, owned_file


def registry(project: Project, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]]) -> File:
    """Return the module with the registry. `steps` are the steps between versions of each job, by class name."""
    versions = [step for each in steps.values() for step in each]
    runtime = [*(["EarlierVersion"] if versions else []), "JobRegistry", "create_job_registry"]
    return owned_file(
        project,
        "registry.py",
        "registry.py.jinja",
        registry=lay_out(call("create_job_registry", **_options(project)), 0, len("registry: JobRegistry = ")),
        imports=import_names("server_jobs", runtime),
        set_up=_imported(project.setup),
        database_of=_imported(project.database_of),
        registrations=[_registration(project, job, steps.get(job.class_name, ())) for job in jobs],
    )


def _options(project: Project) -> dict[str, Expression]:
    """Return the settings of the databases that the project states."""
    stated = {"database_schema": project.schema, "database_url_env": project.database_url_env}
    options: dict[str, Expression] = {option: literal(value) for option, value in stated.items() if value is not None}
    if project.databases:
        variables = tuple((f"{literal(key)}: ", literal(variable)) for key, variable in project.databases.items())
        options["databases"] = Group("{", variables, "}")
    if project.database_of is not None:
        options["database_of"] = Code("database_of")
    return options


def _imported(path: str | None) -> dict[str, Code] | None:
    """Return the import and the name of a function of the project, if it has one."""
    if path is None:
        return None
    module, _, function = path.partition(":")
    return {"imports": import_names(module, [name(function)], indent=4), "function": name(function)}


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
    """Return the imports for registering a job: its handler, class and upcasters, and the models of its versions."""
    package, inside = handlers_package(project)
    upcasts = [step.before.module for step in steps if step.needs_upcast]
    handlers = import_names(package, [job.spec_name, *upcasts], indent=4)
    places = {place for step in steps for place in (step.before.place, step.after.place)}
    models = [import_names(f".models.{module}", [model], indent=4) for module, model in places]
    local = [import_names(".jobs", [job.class_name], indent=4), *models]
    if inside:
        return Code("\n    ".join(sorted([handlers, *local])))
    return Code("\n    ".join([f"{handlers}\n", *sorted(local)]))


def _earlier_version(step: VersionStep) -> Group:
    """Return the entry of an earlier version with both models, so that a type checker can check the upcaster."""
    before, after = name(step.before.class_name), name(step.after.class_name)
    upcast = [Code(f"{step.before.module}.upcast")] if step.needs_upcast else []
    arguments = (Code(step.before.version), before, *upcast)
    return Group(f"EarlierVersion[{before}, {after}](", tuple(("", each) for each in arguments), packed=True)
