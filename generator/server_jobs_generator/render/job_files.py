"""The files of jobs: models, job classes, handler stubs, upcasters, the registry, schemas, and fakes for tests.

Templates only lay out the values computed here. They print only `Code`, so text of a spec cannot become code by
mistake.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from datetime import timedelta
from typing import Any

from server_jobs.contract.values import pointer_to
from server_jobs.domain.options import (
    ConcurrencyLimit,
    ContainerResources,
    JobOptions,
    Misfire,
    RateLimit,
    Retention,
    RunIn,
    Schedule,
)
from server_jobs.domain.retry import Backoff, RetryPolicy
from server_jobs.project import Project

from ..contracts.job_history import ParamsVersion, VersionStep
from ..files.generated_file import File, Ownership
from ..ir.spec import JobSpec
from ..migrations.declared_state import view_columns
from ..models.type_text import python_value
from ..python.code import (
    Code,
    Expression,
    Group,
    Text,
    assignment,
    call,
    docstring,
    header,
    import_names,
    lay_out,
    listing_order,
    literal,
    name,
    one_a_line,
    package_module,
    render,
    tuple_of,
)
from ..sql import ColumnType, identifier, view_name

_RUNTIME = (
    "Backoff",
    "ConcurrencyLimit",
    "ContainerResources",
    "IndexedColumn",
    "JobOptions",
    "Misfire",
    "OnConflict",
    "RateLimit",
    "Retention",
    "RetryPolicy",
    "RunIn",
    "Schedule",
)
_FROM_SCHEMAS = frozenset({"openapi", "testing"})
_ABOUT_SCHEMAS = "The params and results of every job as JSON Schema, word for word those of the specs."
_ABOUT_TESTING = "For tests: strategies for the params and results of every job, and a fake in the place of each."
_UNITS = ("days", "hours", "minutes", "seconds", "milliseconds")


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
        *(_job(project, job, changes.get(job.class_name, ())) for job in changed),
        File(f"{project.handlers}/__init__.py", f"{docstring(f'{about_handlers} freely.')}\n", Ownership.ONCE),
        *(_handler(project, job) for job in changed),
        _registry(project, jobs, steps),
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


def _job(project: Project, job: JobSpec, changes: Sequence[str]) -> File:
    params = [Code(f"{job.class_name}{suffix}") for suffix in ("Params", "ParamsDict")]
    result = [_result_type(job)]
    types = [*params, *result] if job.has_result else params
    base = Group(f"{_base_of(job)}[", tuple(("", each) for each in (params[0], *result, params[1])), "]", packed=True)
    return owned_file(
        project,
        f"jobs/{job.spec_name}.py",
        "job.py.jinja",
        of=job,
        imports=_job_imports(job, f"..models.{job.spec_name}", types, ["JobSchemas"] if _has_schemas(project) else []),
        class_line=lay_out(Group(f"class {name(job.class_name)}(", (("", base),), ")", packed=True), 0, 0, ":"),
        docstring=docstring(job.description or f"The job of {job.path}.", 4),
        attributes=[
            *attributes(job),
            *([assignment("last_change", tuple_of([Text(one) for one in changes]), 4)] if changes else []),
            *_schema_line(project, "database_schema = "),
            *_registry_line(project),
        ],
        has_schemas=_has_schemas(project),
    )


def _result_type(job: JobSpec) -> Code:
    return Code(f"{job.class_name}Result" if job.has_result else "None")


def _schema_line(project: Project, before: str) -> list[Code]:
    """Return the PostgreSQL schema of the tables after this text, if the project has one."""
    return [] if project.schema is None else [Code(f"{before}{literal(project.schema)}")]


def _registry_line(project: Project) -> list[Code]:
    """Return where calls without a backend find the set-up function of the project, if it has one."""
    return [] if project.setup is None else [Code(f"registry_module = {literal('..registry')}")]


def _handler(project: Project, job: JobSpec) -> File:
    params, result = Code(f"{job.class_name}Params"), _result_type(job)
    runtime = import_names("server_jobs", ["HandlerNotImplementedError", "JobContext"])
    models = import_names(f"{_from_handlers(project)}models.{job.spec_name}", [params, *[result] * job.has_result])
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


def _registry(project: Project, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]]) -> File:
    versions = [step for each in steps.values() for step in each]
    runtime = [*(["EarlierVersion"] if versions else []), "JobRegistry", "create_job_registry"]
    return owned_file(
        project,
        "registry.py",
        "registry.py.jinja",
        options=Code("".join(_schema_line(project, "database_schema="))),
        imports=import_names("server_jobs", runtime),
        set_up=_set_up(project),
        registrations=[_registration(project, job, steps.get(job.class_name, ())) for job in jobs],
    )


def _set_up(project: Project) -> dict[str, Code] | None:
    """Return the import and the name of the set-up function, if the project has one."""
    if project.setup is None:
        return None
    module, _, function = project.setup.partition(":")
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


def owned_file(project: Project, path: str, template: str, *, of: JobSpec | None = None, **values: object) -> File:
    """Return a file that is rewritten, made from all specs or from `of`."""
    if of is None:
        return File(f"{project.output}/{path}", render(template, header=header(), **values))
    text = render(template, header=header(of.path), job=of, **values)
    return File(f"{project.output}/{path}", text, job=of.class_name)


def _by_module(jobs: Sequence[JobSpec]) -> list[JobSpec]:
    """Sort jobs in the order in which the linter wants their modules to be imported."""
    return sorted(jobs, key=lambda job: listing_order(job.spec_name))


def handlers_package(project: Project) -> tuple[str, bool]:
    """Return the package from which the registry imports handlers, and whether it is in the generated package."""
    if project.handlers.startswith(f"{project.output}/"):
        return "." + project.handlers.removeprefix(f"{project.output}/").replace("/", "."), True
    return project.handlers_package, False


def _from_handlers(project: Project) -> str:
    """Return the text before `models` when a handler imports them."""
    package, inside = handlers_package(project)
    return "." * (package.count(".") + 1) if inside else f"{project.output_package}."


def attributes(job: JobSpec) -> list[Code]:
    """Return the assignments in the class body, in the order in which `Job` declares them."""
    lines = [
        assignment("job_name", literal(job.class_name), 4),
        assignment("spec_name", literal(job.spec_name), 4),
        Code(f"params_model = {job.class_name}Params"),
        Code(f"result_model = {job.class_name}Result" if job.has_result else "result_model = NoneType"),
    ]
    if options := _stated(job.options, _OPTIONS):
        value = call("JobOptions", **options)
        lines.append(assignment("options", one_a_line(value) if len(options) > 2 else value, 4))
    if job.schedules:
        lines.append(
            assignment("schedules", tuple_of([one_a_line(_schedule(schedule)) for schedule in job.schedules]), 4)
        )
    if columns := _indexed_columns(job):
        lines.append(assignment("indexed_columns", tuple_of(columns), 4))
    return lines


def _indexed_columns(job: JobSpec) -> list[Expression]:
    """Return the columns that a search for jobs looks up: their values are as in the document."""
    view = view_name(job.spec_name)
    return [
        call(
            "IndexedColumn",
            pointer=Text(pointer_to((column.part, column.json_name))),
            view=Text(identifier(view)),
            name=Text(identifier(column.name)),
            **({"is_integer": Code("True")} if column.type is ColumnType.BIGINT else {}),
        )
        for column in (view_columns(job) if job.has_view else ())
        if column.is_indexed and column.type in (ColumnType.TEXT, ColumnType.BIGINT)
    ]


def _job_imports(job: JobSpec, models: str, types: Sequence[str], more: Sequence[str] = ()) -> Code:
    """Return the imports of a job's module: exactly the names that its class uses, and `more` names of the runtime."""
    used = _names_in("\n".join(attributes(job)))
    runtime = [name for name in _RUNTIME if name in used]
    standard = [import_names("datetime", ["timedelta"])] if "timedelta" in used else []
    standard += [] if job.has_result else [import_names("types", ["NoneType"])]
    blocks = [Code("\n".join(standard))] if standard else []
    blocks += [import_names("server_jobs", [_base_of(job), *more, *runtime]), import_names(models, types)]
    return Code("\n\n".join(blocks))


def _base_of(job: JobSpec) -> str:
    """Return the runtime class that a job derives from."""
    if job.options.retired:
        return "RetiredJob"
    return "Job" if job.needs_params else "OptionalParamsJob"


def _stated(value: _Value, writers: _Writers) -> dict[str, Expression]:
    """Return the arguments of a dataclass that differ from their defaults, in the order of the writers."""
    defaults = {
        each.name: each.default if each.default_factory is MISSING else each.default_factory() for each in fields(value)
    }
    stated = {key: getattr(value, key) for key in writers}
    return {key: writers[key](item) for key, item in stated.items() if item != defaults[key]}


def _call_of(function: str, writers: _Writers) -> Callable[[_Value], Group]:
    return lambda value: call(function, **_stated(value, writers))


def _member(value: Backoff | Misfire | RunIn) -> Code:
    return Code(f"{type(value).__name__}.{value.name}")


def _strings(values: Sequence[str]) -> Expression:
    return tuple_of([Text(value) for value in values])


def _texts_by_name(values: Mapping[str, str]) -> Expression:
    return Group("{", tuple((f"{literal(key)}: ", literal(value)) for key, value in values.items()), "}")


def _duration(value: timedelta) -> Expression:
    """Return a duration in the largest unit with a whole number."""
    for unit in _UNITS:
        if value % timedelta(**{unit: 1}) == timedelta(0):
            return call("timedelta", **{unit: Code(value // timedelta(**{unit: 1}))})
    return call("timedelta", seconds=Code(value // timedelta(seconds=1)), microseconds=Code(value.microseconds))


def _names_in(body: str) -> set[str]:
    """Return the names that code uses, without the content of its strings."""
    return {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}


_Value = ConcurrencyLimit | ContainerResources | JobOptions | RateLimit | Retention | RetryPolicy | Schedule
_Writers = Mapping[str, Callable[[Any], Expression]]
"""How to write each argument of a dataclass."""

_RETRY: _Writers = {
    "backoff": _member,
    "initial": _duration,
    "maximum": _duration,
    "jitter": lambda share: Code(repr(float(share))),
}
_OPTIONS: _Writers = {
    "version": Code,
    "queue": literal,
    "priority": Code,
    "max_attempts": Code,
    "timeout": _duration,
    "expires_after": _duration,
    "run_in": _member,
    "image": literal,
    "resources": _call_of("ContainerResources", dict.fromkeys(("requests", "limits"), _texts_by_name)),
    "retry": _call_of("RetryPolicy", _RETRY),
    "unique_by": _strings,
    "on_conflict": _member,
    "concurrency": _call_of("ConcurrencyLimit", {"limit": Code, "by": _strings}),
    "rate": _call_of("RateLimit", {"limit": Code, "per": _duration, "by": _strings}),
    "shard_by": literal,
    "retention": _call_of("Retention", dict.fromkeys(("completed", "failed", "cancelled"), _duration)),
    "redact": _strings,
    "retired": Code,
}
_schedule = _call_of(
    "Schedule",
    {
        "name": literal,
        "cron": literal,
        "timezone": literal,
        "misfire": _member,
        "misfire_limit": Code,
        "params": Text,
        "shard": literal,
    },
)


def earlier_specs(jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]]) -> list[JobSpec]:
    """Return a spec for each earlier version with different params, in the order of jobs and steps."""
    versions = [step for job in jobs for step in steps.get(job.class_name, ())]
    return [step.before.spec() for step in versions if step.needs_upcast]


def earlier_files(
    project: Project, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]], models: Iterable[str]
) -> list[File]:
    """Return the models of the earlier versions of jobs, and a stub for each upcaster.

    `models` are the modules of `earlier_specs`.
    """
    texts = iter(models)
    return [file for job in jobs for file in _files_of(project, steps.get(job.class_name, ()), texts)]


def _files_of(project: Project, steps: Sequence[VersionStep], models: Iterator[str]) -> Iterator[File]:
    for step in steps:
        before = step.before
        text = next(models) if step.needs_upcast else _same_model(before, step.after)
        yield File(f"{project.output}/models/{before.module}.py", text, job=before.job.class_name)
        if step.needs_upcast:
            yield _upcaster(project, step)
    if steps:
        current = steps[-1].after
        text = _same_model(current, None)
        yield File(f"{project.output}/models/{current.module}.py", text, job=current.job.class_name)


def _same_model(version: ParamsVersion, same: ParamsVersion | None) -> str:
    """Return the name of an equal model: of the version with the same params, or of the current one for None."""
    module, model = (version.job.spec_name, f"{version.job.class_name}Params") if same is None else same.place
    what = "the current one" if same is None else f"the same as in version {same.version}"
    return render(
        "same_model.py.jinja",
        header=header(version.job.path),
        about=docstring(f"Params of {version.job.class_name} in version {version.version}: {what}."),
        module=name(module),
        model=name(model),
        alias=name(version.class_name),
        listing=assignment("__all__", Group("[", (("", literal(version.class_name)),), "]")),
    )


def _upcaster(project: Project, step: VersionStep) -> File:
    before, after = step.before, step.after
    job, models = before.job, f"{_from_handlers(project)}models"
    imports = [import_names(f"{models}.{each.module}", [each.class_name]) for each in (before, after)]
    runtime = import_names("server_jobs", ["UpcastNotImplementedError"])
    arguments = Group("def upcast(", (("params: ", Code(before.class_name)),), ")", packed=True)
    about = f"Rows of {job.class_name} from version {before.version} to {after.version}."
    text = render(
        "stub.py.jinja",
        about=docstring(f"{about} Generated once: edit it freely."),
        imports=Code(f"{runtime}\n\n{chr(10).join(imports)}"),
        signature=lay_out(arguments, 0, 0, f" -> {after.class_name}:"),
        docstring=docstring(f"Params of version {before.version}, as version {after.version} takes them.", 4),
        error=Code(f"UpcastNotImplementedError({literal(job.class_name)}, {before.version})"),
    )
    return File(f"{project.handlers}/{before.module}.py", text, Ownership.ONCE, job.class_name)


def _has_schemas(project: Project) -> bool:
    """Return whether job classes include their schemas, which strategies and the served OpenAPI document need."""
    return not _FROM_SCHEMAS.isdisjoint(project.outputs)


def _selected_modules(project: Project, jobs: Sequence[JobSpec]) -> Iterator[File]:
    """Yield the modules that a project selects with `outputs`."""
    if _has_schemas(project):
        yield from _modules(project, jobs, "schemas", _ABOUT_SCHEMAS, schema_module)
    if "testing" in project.outputs:
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
    params, result = f"{job.class_name}Params", _result_type(job)
    own_result = f"{result} | " if job.has_result else ""
    result_type = Code(f"{own_result}Callable[[{params}], {result}] | None")
    arguments = Group(
        f"def fake_{job.spec_name}(",
        (("result: ", Code(f"{result_type} = None")), ("", Code("*")), ("error: ", Code("Exception | None = None"))),
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
