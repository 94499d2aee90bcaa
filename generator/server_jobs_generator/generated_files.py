"""All files generated from the specs and the lock: models, jobs, handler stubs, migrations and outputs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from server_jobs.project import Project

from .build_cache import BuildCache
from .contracts.contract import Contract
from .contracts.job_history import (
    VersionStep,
    before_last_change,
    hashes_of,
    last_change,
    steps_of,
    with_lasting_redactions,
)
from .contracts.lock_file import Lock
from .files.generated_file import File, KeptFile
from .files.manifest import Manifest
from .ir.spec import JobSpec
from .migrations.migration_files import migration_files
from .models.model_module import render_all_models
from .models.property_types import PropertyTypes
from .options.schema import spec_schema_text
from .outputs import OutputSource, output_files
from .python.code import header, package_module
from .python.custom_types import custom_types
from .render.earlier_versions import earlier_files, earlier_specs
from .render.job_files import job_files

_NO_STEPS: Mapping[str, Sequence[VersionStep]] = {}
_NO_CHANGES: Mapping[str, Sequence[str]] = {}
_ATTRIBUTES = """\
# The order of lines does not matter: a merge keeps the lines of both branches, and the next run sorts them.
manifest.json merge=union
"""


@dataclass(frozen=True, slots=True)
class GeneratedFiles:
    """The files, and a hash by class name of each job's parts that are only in the lock."""

    files: Sequence[File | KeptFile]
    added: Mapping[str, str]


def generated_files(
    project: Project,
    specs: Sequence[JobSpec],
    contracts: Mapping[str, Contract],
    lock: Lock,
    manifest: Manifest,
    cache: BuildCache,
) -> GeneratedFiles:
    """Render the changed jobs, and keep the files of all others. `contracts` has the contract of each spec.

    Raises `ProjectError` if the existing revisions cannot run.
    """
    jobs = [with_lasting_redactions(job, lock) for job in specs]
    steps = {job.class_name: steps_of(job, lock) for job in jobs}
    before = {name: before_last_change(lock.jobs.get(name), now) for name, now in contracts.items()}
    added = hashes_of(jobs, steps, before)
    kept = cache.kept(project, added)
    changed = [job for job in jobs if job.class_name not in kept]
    changes = {
        job.class_name: last_change(job, old, contracts[job.class_name])
        for job in changed
        if (old := before[job.class_name]) is not None
    }
    custom = custom_types(project.types)
    models = render_all_models([*changed, *earlier_specs(changed, steps)], PropertyTypes(cache.answers), custom)
    made = [
        *render_files(project, jobs, steps, kept, models[: len(changed)], changes),
        *earlier_files(project, changed, steps, models[len(changed) :]),
        *migration_files(project, jobs, manifest),
    ]
    return GeneratedFiles([*made, *chain.from_iterable(kept.values())], added)


def render_files(
    project: Project,
    jobs: Sequence[JobSpec],
    steps: Mapping[str, Sequence[VersionStep]] = _NO_STEPS,
    kept: Container[str] = (),
    models: Sequence[str] | None = None,
    changes: Mapping[str, Sequence[str]] = _NO_CHANGES,
) -> list[File]:
    """Return every file except migrations, and except files that depend only on one of the `kept` jobs (class names).

    The order of `jobs` does not matter. `steps` are the steps between versions of each job with several, by class name.
    `models` are rendered modules of the jobs that are not kept, in the order of their class names, if there are any.
    `changes` has the last change of each job that changed.
    """
    ordered = sorted(jobs, key=lambda job: job.class_name)
    changed = [job for job in ordered if job.class_name not in kept]
    models = render_all_models(changed, custom=custom_types(project.types)) if models is None else models
    return [
        File(f"{project.output}/__init__.py", package_module("Generated from the specs.")),
        File(f"{project.output}/.gitattributes", f"{header()}\n\n{_ATTRIBUTES}"),
        *job_files(project, ordered, changed, steps, models, changes),
        # A copy in the project, where an editor finds it wherever the package is installed.
        File(f"{project.output}/spec.schema.json", spec_schema_text()),
        *output_files(OutputSource(project=project, jobs=ordered, steps=steps)),
    ]
