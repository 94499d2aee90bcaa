"""The module with the class of a job."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from server_jobs.contract.values import pointer_to
from server_jobs.domain.options import JobOptions, Schedule
from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import JobSpec
from ..migrations.declared_state import view_columns
from ..options.expressions import arguments, record_call, type_names
from ..outputs import has_schemas
from ..python.code import (
    Code,
    Expression,
    Group,
    Text,
    assignment,
    call,
    docstring,
    import_names,
    lay_out,
    literal,
    name,
    one_a_line,
    tuple_of,
)
from ..sql import ColumnType, identifier, view_name
from .layout import owned_file

_RUNTIME = sorted({"IndexedColumn", *type_names(JobOptions), *type_names(Schedule)})


def job_class(project: Project, job: JobSpec, changes: Sequence[str]) -> File:
    """Return the module with the class of a job. `changes` are lines about its last change."""
    params = [Code(f"{job.class_name}{suffix}") for suffix in ("Params", "ParamsDict")]
    result = [result_type(job)]
    types = [*params, *result] if job.has_result else params
    base = Group(f"{_base_of(job)}[", tuple(("", each) for each in (params[0], *result, params[1])), "]", packed=True)
    return owned_file(
        project,
        f"jobs/{job.spec_name}.py",
        "job.py.jinja",
        of=job,
        imports=_job_imports(job, f"..models.{job.spec_name}", types, ["JobSchemas"] if has_schemas(project) else []),
        class_line=lay_out(Group(f"class {name(job.class_name)}(", (("", base),), ")", packed=True), 0, 0, ":"),
        docstring=docstring(job.description or f"The job of {job.path}.", 4),
        attributes=[
            *attributes(job),
            *([assignment("last_change", tuple_of([Text(one) for one in changes]), 4)] if changes else []),
            *schema_line(project, "database_schema = "),
            *_registry_line(project),
        ],
        has_schemas=has_schemas(project),
    )


def result_type(job: JobSpec) -> Code:
    """Return the type that a handler returns."""
    return Code(f"{job.class_name}Result" if job.has_result else "None")


def schema_line(project: Project, before: str) -> list[Code]:
    """Return the PostgreSQL schema of the tables after this text, if the project has one."""
    return [] if project.schema is None else [Code(f"{before}{literal(project.schema)}")]


def _registry_line(project: Project) -> list[Code]:
    """Return where calls without a backend find the set-up function of the project, or the names of its databases."""
    return (
        [] if project.setup is None and not project.databases else [Code(f"registry_module = {literal('..registry')}")]
    )


def attributes(job: JobSpec) -> list[Code]:
    """Return the assignments in the class body, in the order in which `Job` declares them."""
    lines = [
        assignment("job_name", literal(job.class_name), 4),
        assignment("spec_name", literal(job.spec_name), 4),
        Code(f"params_model = {job.class_name}Params"),
        Code(f"result_model = {job.class_name}Result" if job.has_result else "result_model = NoneType"),
    ]
    if options := arguments(job.options):
        value = call("JobOptions", **options)
        lines.append(assignment("options", one_a_line(value) if len(options) > 2 else value, 4))
    if job.schedules:
        lines.append(
            assignment("schedules", tuple_of([one_a_line(record_call(schedule)) for schedule in job.schedules]), 4)
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


def _names_in(body: str) -> set[str]:
    """Return the names that code uses, without the content of its strings."""
    return {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
