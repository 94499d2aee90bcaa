"""The files of earlier versions: their models, and a stub for each upcaster. The registry joins them to their job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from server_jobs.project import Project

from ..contracts.earlier_versions import ParamsVersion, VersionStep
from ..files.generated_file import File, Ownership
from ..ir.spec import JobSpec
from ..models.model_module import render_all_models
from ..models.type_memory import TypeMemory
from ..python.code import Code, Group, assignment, docstring, header, import_names, lay_out, literal, name
from ..python.template import render
from .project_files import from_handlers


def earlier_files(
    project: Project, jobs: Sequence[JobSpec], steps: Mapping[str, Sequence[VersionStep]], memory: TypeMemory
) -> list[File]:
    """The models of the versions of jobs that have several, and a stub for each way between two of them."""
    return [file for job in jobs for file in _files_of(project, steps.get(job.class_name, ()), memory)]


def _files_of(project: Project, steps: Sequence[VersionStep], memory: TypeMemory) -> Iterator[File]:
    for step in steps:
        before = step.before
        text = _model(before, memory) if step.needs_upcast else _same_model(before, step.after)
        yield File(f"{project.output}/models/{before.module}.py", text, job=before.job.class_name)
        if step.needs_upcast:
            yield _upcaster(project, step)
    if steps:
        current = steps[-1].after
        text = _same_model(current, None)
        yield File(f"{project.output}/models/{current.module}.py", text, job=current.job.class_name)


def _model(version: ParamsVersion, memory: TypeMemory) -> str:
    (text,) = render_all_models([version.spec()], memory)
    return text


def _same_model(version: ParamsVersion, same: ParamsVersion | None) -> str:
    """A name for the model of the version with the same params, None: of the current one."""
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
        "upcast.py.jinja",
        about=docstring(f"{about} Generated once: it is yours to write."),
        imports=Code(f"{runtime}\n\n{chr(10).join(imports)}"),
        signature=lay_out(arguments, 0, 0, f" -> {after.class_name}:"),
        docstring=docstring(f"Params of version {before.version}, as version {after.version} takes them.", 4),
        class_name=literal(job.class_name),
        version=Code(before.version),
    )
    return File(f"{project.handlers}/{before.module}.py", text, Ownership.ONCE, job.class_name)
