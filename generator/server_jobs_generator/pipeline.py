"""From the specs to what has to be written: read, check, render, compare. Nothing is written here but by `publish`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from server_jobs import __version__
from server_jobs.project import Project

from .caching.earlier_run import EarlierRun, ThisRun, keep_type_memory, read_earlier_run, read_type_memory
from .caching.spec_portions import check_many
from .check.merge_conflicts import merge_conflicts
from .check.released import read_released
from .contracts.against_revision import SinceRevision, compare_with_revision
from .contracts.compared import compare_contracts
from .contracts.earlier_versions import hashes_of, name_problems, steps_of
from .contracts.lock.earlier_lock import remember_lock
from .contracts.lock.forget import forget
from .contracts.lock.lock_file import Lock, lock_path
from .contracts.lock.redactions import with_lasting_redactions
from .contracts.lock.relock import relock
from .contracts.moved_jobs import handlers_left_behind
from .files import changes as output
from .files.changes import Finding, State
from .files.generated_file import File, KeptFile, Ownership, read_file
from .files.manifest import Manifest, hash_content, manifest_path, read_manifest
from .files.publication import CannotExchangeError, publish_at_once
from .ir.spec import Specs, check_specs, find_specs
from .lint.spec_style import Style
from .migrations.migration_files import begin_migrations, schema_fingerprint, view_hashes
from .migrations.seals import is_intact, recorded_hashes, with_seals
from .models.model_pool import render_models_of
from .models.type_memory import TypeMemory
from .parallel.garbage import few_collections
from .parallel.processes import Processes
from .plan import Plan
from .problems.problem import SpecProblem
from .read.spec_files import SpecFile
from .render.earlier_files import earlier_files
from .render.project_files import render_files
from .worker_lint.configuration import check_configuration
from .worker_lint.settings import read_settings

_OWNED_FOLDERS = ("contracts", "jobs", "models", "schemas", "testing")


@few_collections()
def make_plan(
    project: Project,
    *,
    relocked: Sequence[tuple[str, int | None]] = (),
    forgotten: Sequence[tuple[str, int]] = (),
    against: str | None = None,
) -> Plan:
    """Read the specs of a project, and compare them with what was released and its files with what they should be.

    `relocked` names jobs and versions (None: the only one) whose contracts count no more, `forgotten` earlier versions
    of which no rows are left, `against` a revision of git to compare with as well. Raises `ProjectError` when the
    project cannot be used: no specs folder, a link out of it, a broken manifest; `InvalidOptionError` for what cannot
    be dropped or forgotten.
    """
    with Processes() as processes:
        found = find_specs(project.root, project.root / project.specs)
        known = read_earlier_run(project)
        specs = _read_specs(project, found, known, processes)
        if problems := merge_conflicts(project, found, specs.problems):
            return _refused(problems)
        recorded = read_manifest(project)
        old = with_seals(project, recorded)
        settled = {} if relocked or forgotten or against else known.settled(specs.jobs)
        before = read_released(project, recorded, settled)
        released = forget(relock(before, relocked), forgotten)
        if problems := [*name_problems(specs.jobs, released), *handlers_left_behind(project, specs.jobs, before)]:
            return _refused(problems)
        since = SinceRevision() if against is None else compare_with_revision(project, against, specs.jobs, released)
        files_made = _begin_files(project, specs, released, known, old, processes)
        contracts = compare_contracts(project, released, specs, found, since.findings)
        made = files_made()
    files = [*made.files, contracts.lock]
    run = ThisRun(
        found=found,
        specs=specs,
        files=files,
        kept=made.kept,
        earlier=made.earlier,
        views=made.views,
        settled=contracts.settled,
    )
    run.remember(project, known)
    new = _manifest(project, [*files, *made.right], recorded)
    manifest = File(manifest_path(project), new.dump())
    folders = [f"{project.output}/{folder}" for folder in _OWNED_FOLDERS]
    findings = output.compare(project.root, files, old, folders, made.right)
    return Plan(
        contracts=contracts.findings,
        remarks=since.remarks,
        findings=findings + _manifest_finding(project, manifest),
        unused=_unused(new, [*files, *made.right]),
        configuration=tuple(sorted(check_configuration(read_settings(project)))),
        manifest=manifest,
        journal=File(manifest.path, recorded.begin(new).dump()),
    )


def _refused(problems: Iterable[SpecProblem]) -> Plan:
    return Plan(problems=tuple(sorted(problems)))


def _read_specs(
    project: Project, found: Sequence[SpecFile | SpecProblem], known: EarlierRun, processes: Processes
) -> Specs:
    """All specs; only what changed since the earlier run is looked at, if that is enough."""
    style = Style.of(project.allow)
    if not known.files:
        return check_many(found, style, processes)
    # If it is not, a spec most likely has a problem, and those are not found in portions.
    return known.read(found, style) or check_specs(found, style)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """The files that follow from the specs and from what was released; of those that are `right` nobody needs the text.

    `kept` are those of them that follow from one job alone, by its class name, like the hashes of what the lock adds to
    it (`earlier`) and of its `views`.
    """

    files: list[File]
    right: list[KeptFile]
    kept: Mapping[str, tuple[KeptFile, ...]]
    earlier: Mapping[str, str]
    views: Mapping[str, str]


def _begin_files(
    project: Project, specs: Specs, released: Lock, known: EarlierRun, old: Manifest, processes: Processes
) -> Callable[[], _Made]:
    """Let other processes begin with what takes longest; what is returned does the rest, and waits for them."""
    jobs = [with_lasting_redactions(job, released) for job in specs.jobs]
    steps = {job.class_name: steps_of(job, released) for job in jobs}
    earlier = hashes_of(jobs, steps)
    kept = known.kept(project, specs.jobs, earlier)
    changed = sorted((job for job in jobs if job.class_name not in kept), key=lambda job: job.class_name)
    memory = read_type_memory(project) if changed else TypeMemory()
    models = render_models_of(changed, memory, processes)
    views = view_hashes(jobs, known.views(specs.jobs, earlier))
    migrations = begin_migrations(project, jobs, old, schema_fingerprint(jobs, views), processes)

    def made() -> _Made:
        files = [*render_files(project, jobs, steps, kept, models), *earlier_files(project, changed, steps, memory)]
        keep_type_memory(project, memory)
        rest = migrations()
        return _Made(
            files=[*files, *(file for file in rest if isinstance(file, File))],
            right=[*chain.from_iterable(kept.values()), *(file for file in rest if isinstance(file, KeptFile))],
            kept=kept,
            earlier=earlier,
            views=views,
        )

    return made


def publish(project: Project, plan: Plan) -> None:
    """Carry a plan out, edited files included; the caller has made sure that this is wanted."""
    if plan.manifest is None or plan.journal is None:
        return
    try:
        publish_at_once(project, plan.findings, plan.manifest)
    except CannotExchangeError:
        output.publish(project.root, plan.findings, plan.manifest, plan.journal)
    remember_lock(project)


def _manifest(project: Project, files: Sequence[File | KeptFile], old: Manifest) -> Manifest:
    rewritten = {file.path: _hash(file) for file in files if file.ownership is Ownership.REWRITTEN}
    appended = [file for file in files if file.ownership is Ownership.APPENDED]
    lock = next((file.text for file in files if isinstance(file, File) and file.path == lock_path(project)), "")
    once = {file.path for file in files if file.ownership is Ownership.ONCE}
    forgotten = {path for path in old.once if path not in once and (project.root / path).exists()}
    return Manifest(
        generator=__version__,
        rewritten=recorded_hashes(project, rewritten, lock),
        appended={file.path: _hash(file) for file in appended if not _is_sealed(file, old)},
        once=tuple(sorted(once | forgotten)),
    )


def _is_sealed(file: File | KeptFile, old: Manifest) -> bool:
    """Whether an appended file tells by itself that it is as it was written."""
    if isinstance(file, KeptFile):
        return file.path not in old.hashes
    return is_intact(file.path, file.text.encode())


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
