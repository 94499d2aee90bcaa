"""The models of earlier versions of jobs, and the stubs of their upcasters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from server_jobs.project import Project

from ..contracts.job_history import ParamsVersion, VersionStep
from ..files.generated_file import File, Ownership
from ..ir.spec import JobSpec
from ..python.code import (
    Code,
    Group,
    assignment,
    docstring,
    header,
    import_names,
    lay_out,
    literal,
    name,
    render,
)
from .layout import from_handlers


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
    job, models = before.job, f"{from_handlers(project)}models"
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
