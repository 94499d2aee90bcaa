"""From the specs to what has to be written: read, check, render, compare. Nothing is written here but by `publish`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from server_jobs import __version__
from server_jobs.errors import ProjectError
from server_jobs.project import Project

from . import output
from .contracts.against_revision import findings_against_revision
from .contracts.contract import contracts_of
from .contracts.forget import forget
from .contracts.lock import Lock, lock_path, read_lock
from .contracts.release import release
from .contracts.relock import relock
from .contracts.review import review
from .contracts.settled import settled_entries
from .earlier_files import earlier_files
from .earlier_run import ThisRun, keep_type_memory, read_earlier_run, read_type_memory
from .earlier_versions import hashes_of, name_problems, steps_of
from .files import File, KeptFile, Ownership, read_file
from .garbage import few_collections
from .handler_impact.handler_impact import handler_impact
from .manifest import Manifest, hash_content, manifest_path, read_manifest
from .migrations import migration_files, schema_fingerprint, view_hashes
from .output import Finding, State
from .plan import Plan
from .publication import CannotExchangeError, publish_at_once
from .render import render_files
from .spec import JobSpec, check_specs, find_specs
from .spec_style import Style
from .type_memory import TypeMemory
from .worker_lint.configuration import check_configuration
from .worker_lint.upload import read_upload

_OWNED_FOLDERS = ("contracts", "jobs", "models", "schemas", "testing")


@few_collections()
def make_plan(
    project: Project,
    *,
    relocked: Sequence[str] = (),
    forgotten: Sequence[tuple[str, int]] = (),
    against: str | None = None,
) -> Plan:
    """Read the specs of a project, and compare them with what was released and its files with what they should be.

    `relocked` names jobs whose earlier contracts count no more, `forgotten` versions (by job name) of which no rows are
    left, `against` a revision of git to compare with as well. Raises `ProjectError` when the project cannot be used: no
    specs folder, a link out of it, a broken manifest; `InvalidOptionError` for what cannot be forgotten.
    """
    found, style = find_specs(project.root, project.root / project.specs), Style.of(project.allow)
    known = read_earlier_run(project)
    specs = known.read(found, style) or check_specs(found, style)
    if specs.problems:
        return Plan(problems=tuple(sorted(specs.problems)))
    old = read_manifest(project)
    settled = {} if relocked or forgotten else known.settled(specs.jobs)
    released = forget(relock(_released(project, old, settled), relocked), forgotten)
    if problems := tuple(sorted(name_problems(specs.jobs, released))):
        return Plan(problems=problems)
    others = [] if against is None else findings_against_revision(project, against, specs.jobs)
    open_jobs = [job for job in specs.jobs if job.class_name not in released.settled]
    promised = contracts_of(open_jobs)
    contracts = review(project, released, open_jobs, others=others, promised=promised, files=found, needs=specs.needs)
    lock = release(released, open_jobs, promised)
    steps = {job.class_name: steps_of(job, released) for job in specs.jobs}
    earlier = hashes_of(steps)
    kept = known.kept(project, specs.jobs, earlier)
    views = view_hashes(specs.jobs, known.views(specs.jobs))
    fingerprint = schema_fingerprint(specs.jobs, views)
    memory = TypeMemory() if len(kept) == len(specs.jobs) else read_type_memory(project)
    migrations = migration_files(project, specs.jobs, old, fingerprint)
    files = [
        *render_files(project, specs.jobs, steps, kept, memory),
        *earlier_files(project, [job for job in specs.jobs if job.class_name not in kept], steps, memory),
        *(file for file in migrations if isinstance(file, File)),
        File(lock_path(project), lock_text := lock.dump()),
    ]
    keep_type_memory(project, memory)
    ThisRun(
        found=found,
        specs=specs,
        files=files,
        kept=kept,
        earlier=earlier,
        views=views,
        settled=settled_entries(lock, lock_text, open_jobs, promised),
    ).remember(project, known)
    right = [file for of_job in kept.values() for file in of_job]
    right += (file for file in migrations if isinstance(file, KeptFile))
    new = _manifest(project, specs.jobs, [*files, *right], old, fingerprint)
    manifest = File(manifest_path(project), new.dump())
    folders = [f"{project.output}/{folder}" for folder in _OWNED_FOLDERS]
    findings = output.compare(project.root, files, old, folders, right)
    return Plan(
        contracts=contracts,
        findings=findings + _manifest_finding(project, manifest),
        unused=_unused(new, [*files, *right]),
        configuration=tuple(sorted(check_configuration(project, read_upload(project)))),
        impact=handler_impact(project, findings),
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


def _released(project: Project, manifest: Manifest, settled: Mapping[str, str]) -> Lock:
    """The lock, which nothing could make anew: today's specs do not know what was queued before them."""
    path = lock_path(project)
    if path in manifest.rewritten and not os.path.lexists(project.root / path):
        raise ProjectError(
            f"{path} is gone, and nothing else knows the contracts of jobs that may be queued; take it back from "
            f"version control, or, if nothing was ever queued, delete {manifest_path(project)} as well"
        )
    return read_lock(project, settled)


def _manifest(
    project: Project, jobs: Sequence[JobSpec], files: Sequence[File | KeptFile], old: Manifest, fingerprint: str
) -> Manifest:
    hashes = {file.path: _hash(file) for file in files}
    once = {file.path for file in files if file.ownership is Ownership.ONCE}
    forgotten = {path for path in old.once if path not in once and (project.root / path).exists()}
    return Manifest(
        generator=__version__,
        schema=fingerprint,
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
