"""From the specs to what has to be written: read, check, render, compare. Nothing is written here but by `publish`."""

from __future__ import annotations

from collections.abc import Sequence

from server_jobs import __version__
from server_jobs.project import Project

from . import output
from .earlier_run import keep_type_memory, read_earlier_run, read_type_memory, remember_run
from .files import File, KeptFile, Ownership, read_file
from .manifest import Manifest, hash_content, manifest_path, read_manifest
from .migrations import migration_files, schema_fingerprint
from .output import Finding, State
from .plan import Plan
from .publication import CannotExchangeError, publish_at_once
from .render import render_files
from .spec import JobSpec, check_specs, find_specs
from .type_memory import TypeMemory
from .worker_lint.configuration import check_configuration
from .worker_lint.upload import read_upload

_OWNED_FOLDERS = ("jobs", "models")


def make_plan(project: Project) -> Plan:
    """Read the specs of a project and compare its files with what they should be.

    Raises `ProjectError` when the project cannot be used: no specs folder, a link out of it, a broken manifest.
    """
    found, earlier = find_specs(project.root, project.root / project.specs), read_earlier_run(project)
    specs = earlier.read(found) or check_specs(found)
    if specs.problems:
        return Plan(problems=tuple(sorted(specs.problems)))
    old, kept = read_manifest(project), earlier.kept(project, specs.jobs)
    memory = TypeMemory() if len(kept) == len(specs.jobs) else read_type_memory(project)
    files = [*render_files(project, specs.jobs, kept, memory), *migration_files(project, specs.jobs, old)]
    keep_type_memory(project, memory)
    remember_run(project, found, specs, files, kept)
    right = [file for of_job in kept.values() for file in of_job]
    new = _manifest(project, specs.jobs, [*files, *right], old)
    manifest = File(manifest_path(project), new.dump())
    folders = [f"{project.output}/{folder}" for folder in _OWNED_FOLDERS]
    findings = output.compare(project.root, files, old, folders, right)
    return Plan(
        findings=findings + _manifest_finding(project, manifest),
        unused=_unused(new, [*files, *right]),
        configuration=tuple(sorted(check_configuration(project, read_upload(project)))),
        manifest=manifest,
        journal=File(manifest.path, old.begin(new).dump()),
    )


def publish(project: Project, plan: Plan) -> None:
    """Carry a plan out, edited files included; the caller has made sure that this is wanted."""
    if plan.manifest is None or plan.journal is None:
        return
    try:
        publish_at_once(project, plan.findings, plan.manifest)
    except CannotExchangeError:
        output.publish(project.root, plan.findings, plan.manifest, plan.journal)


def _manifest(project: Project, jobs: Sequence[JobSpec], files: Sequence[File | KeptFile], old: Manifest) -> Manifest:
    hashes = {file.path: _hash(file) for file in files}
    once = {file.path for file in files if file.ownership is Ownership.ONCE}
    forgotten = {path for path in old.once if path not in once and (project.root / path).exists()}
    return Manifest(
        generator=__version__,
        schema=schema_fingerprint(jobs),
        specs={job.path: job.digest for job in jobs},
        rewritten={file.path: hashes[file.path] for file in files if file.ownership is Ownership.REWRITTEN},
        appended={file.path: hashes[file.path] for file in files if file.ownership is Ownership.APPENDED},
        once=tuple(sorted(once | forgotten)),
    )


def _hash(file: File | KeptFile) -> str:
    return file.hash if isinstance(file, KeptFile) else hash_content(file.text.encode())


def _manifest_finding(project: Project, manifest: File) -> tuple[Finding, ...]:
    content = read_file(project.root / manifest.path)
    if content is None:
        return (Finding(manifest.path, State.MISSING, manifest),)
    return () if content == manifest.text.encode() else (Finding(manifest.path, State.STALE, manifest),)


def _unused(manifest: Manifest, files: Sequence[File | KeptFile]) -> tuple[str, ...]:
    wanted = {file.path for file in files}
    return tuple(path for path in manifest.once if path not in wanted)
