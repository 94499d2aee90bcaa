"""Compare the specs with the specs of a git revision: `server-jobs check --against main`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from server_jobs.contract.values import pointer_to
from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..files.git import Git
from ..ir.spec import JobSpec, check_specs
from ..problems.problem import SpecProblem, shown
from ..problems.rules import FILE_UNREADABLE, LINK_OUTSIDE
from ..read.document import ENDINGS, MAX_FILE_BYTES
from ..read.library import ACCEPTED, SHARED, SpecFile, named_file, read_spec_files
from .accepted import accepted_path
from .contract import contract_of, is_example
from .contract_rules import ChangeRule
from .finding import ContractFinding, Place, Severity
from .job_history import is_covered, lasting_redactions, release
from .judge import Judge, OldContract, deletion_message, unique_findings
from .lock_file import LOCK, Lock, LockedJob, lock_path, parse_lock
from .spec_places import SpecPlaces

_MOST_SHOWN = 5
_GO_ON = (
    "commits cannot be changed: compare with a revision before it, such as --against {revision}~1, "
    "and with {revision} again once the specs are fixed"
)

_LINK = "120000"
_FILE_MODES = ("100644", "100755", _LINK)
_FORGOTTEN = "the lock lacks it now"
_QUEUED = "and jobs of it may be queued"


@dataclass(frozen=True, slots=True)
class SinceRevision:
    """Findings since a revision, and notes about the comparison itself."""

    findings: tuple[ContractFinding, ...] = ()
    remarks: tuple[str, ...] = ()


def compare_with_revision(project: Project, revision: str, jobs: Sequence[JobSpec], lock: Lock) -> SinceRevision:
    """Compare the specs and the lock with those at a git revision, without a checkout.

    Raises `ProjectError` if git or the revision is missing, or if its files cannot be read.
    """
    then = read_revision(project, revision)
    if not then.specs:
        return SinceRevision(
            remarks=(f"{revision} has no specs in {then.folder}, so there is nothing to compare with",)
        )
    was = _lock_then(revision, then)
    broken = _findings(project, revision, then.specs, jobs, was.lock)
    return SinceRevision((*broken, *_forgotten_since(project, was, lock, release(lock, jobs), jobs)))


def _lock_then(revision: str, then: Revision) -> _LockThen:
    """Return the lock of that revision; an empty one if there was none."""
    if then.lock is None:
        return _LockThen(revision, then.lock_path, Lock())
    lock = parse_lock(f"{revision}:{then.lock_path}", then.lock, advice=_GO_ON.format(revision=revision))
    return _LockThen(revision, then.lock_path, lock)


def _findings(
    project: Project, revision: str, files: Sequence[SpecFile | SpecProblem], jobs: Sequence[JobSpec], lock_then: Lock
) -> list[ContractFinding]:
    olds = check_specs(files, project.formats)
    if olds.problems:
        shown = "\n".join(f"  {problem}" for problem in olds.problems[:_MOST_SHOWN])
        more = len(olds.problems) - _MOST_SHOWN
        shown += f"\n  and {more} more" if more > 0 else ""
        raise ProjectError(
            f"the specs at {revision} have problems themselves, so nothing can be compared:\n{shown}\n"
            + _GO_ON.format(revision=revision)
        )
    before = SpecPlaces(files, f"{revision}:")
    places = SpecPlaces(read_spec_files(project.root, project.root / project.specs))
    now = {job.class_name: job for job in jobs}
    found: list[ContractFinding] = []
    for old in olds.jobs:
        if old.class_name not in now and is_example(old.class_name, {old.options.version: [contract_of(old)]}):
            continue
        job = now.get(old.class_name)
        locked = lock_then.jobs.get(old.class_name)
        redacted = tuple(dict.fromkeys((*old.options.redact, *(locked.redact if locked else ()))))
        found += [_deleted(old, before, jobs, places)] if job is None else _compared(old, before, job, places, redacted)
    return unique_findings(finding for finding in found if finding.severity)


def _compared(
    old: JobSpec, before: SpecPlaces, job: JobSpec, places: SpecPlaces, redacted: Sequence[str]
) -> Iterator[ContractFinding]:
    judge = Judge(job, contract_of(job), places)
    contract = OldContract(contract_of(old), partial(before.of_part, old), old.options.version)
    if job.options.version < old.options.version:
        message = f"version is {job.options.version}, and was {old.options.version}"
        place = places.of_file(job, ("x-job", "version"))
        yield judge.finding(ChangeRule.VERSION_LOWERED, place, message, Severity.ERROR)
        return
    if job.options.version == old.options.version:
        yield from judge.params([contract])
    yield from judge.results([contract])
    yield from judge.options(contract)
    yield from judge.redactions(redacted)


def _deleted(old: JobSpec, before: SpecPlaces, jobs: Sequence[JobSpec], places: SpecPlaces) -> ContractFinding:
    severity = Severity.WARNING if old.options.retired else Severity.ERROR
    judge = Judge(old, contract_of(old), before)
    retitled = next((job for job in jobs if job.spec_name == old.spec_name), None)
    message, advice = deletion_message(old.path, retitled, was_retired=old.options.retired)
    # Tools that show findings next to a diff need the plain path; `old` has the revision.
    place = Place(old.path, 1, 1, "") if retitled is None else places.of_file(retitled, ("title",))
    found = judge.finding(ChangeRule.JOB_DELETED, place, message, severity)
    return replace(found, old=before.of_file(old, () if retitled is None else ("title",)), advice=advice)


@dataclass(frozen=True, slots=True)
class Revision:
    """The project's files at a revision, in the folders of that time: the specs, sorted by name.

    `folder` is relative to the top of the repository, the paths of the specs and of the lock to the project's root. A
    link among the specs counts as the file it leads to, as on disk; otherwise it is a problem. `lock` is None if there
    was none.
    """

    folder: str
    specs: tuple[SpecFile | SpecProblem, ...]
    lock_path: str
    lock: bytes | None


def read_revision(project: Project, revision: str) -> Revision:
    """Read the specs and the lock of the project as they are in a git revision.

    The result has no specs if the project had none yet.

    Raises `ProjectError` if git or the revision is missing, or if the specs' path is not a folder.
    """
    git = Git(project.root)
    commit = git.commit(revision)
    root = git.text("rev-parse", "--show-prefix").strip()
    then = _folders(git, f"{commit}:{root}", project)
    path = f"{root}{then.specs}"
    tree = git.tree(f"{commit}:{path}")
    if tree is None and git.data("ls-tree", "-z", "--full-tree", commit, "--", path):
        raise ProjectError(f"{path} is no folder of this repository at {revision}, so nothing can be compared")
    specs = () if tree is None else tuple(_files(git, tree, then.specs))
    locked = f"{then.output}/{LOCK}"
    lock = next(git.contents([f"{commit}:{root}{locked}"]), None)
    return Revision(path, specs, locked, lock if isinstance(lock, bytes) else None)


@dataclass(frozen=True, slots=True)
class _Folders:
    specs: str
    output: str


def _folders(git: Git, top: str, project: Project) -> _Folders:
    """Return the folders from pyproject.toml at that revision, or today's if it cannot be read."""
    today = _Folders(project.specs, project.output)
    done = git.run("cat-file", "blob", f"{top}pyproject.toml")
    try:
        tools = tomllib.loads(done.stdout.decode()).get("tool")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return today
    settings = tools.get("server-jobs") if isinstance(tools, dict) else None
    if not isinstance(settings, dict):
        return today
    unsaid = Project(root=project.root)
    specs, output = settings.get("specs", unsaid.specs), settings.get("output", unsaid.output)
    is_readable = isinstance(specs, str) and isinstance(output, str)
    return _Folders(specs.strip("/"), output.strip("/")) if is_readable else today


def _files(git: Git, tree: str, folder: str) -> Iterator[SpecFile | SpecProblem]:
    """Yield the specs in the tree of a folder, in order."""
    objects = dict(sorted(_objects(git, tree)))
    for name, content in zip(objects, git.contents(objects.values()), strict=True):
        path = f"{folder}/{name}"
        match content:
            case bytes():
                yield named_file(name, path, content[: MAX_FILE_BYTES + 1])
            case "symlink":
                yield SpecProblem(path, 1, 1, "", "is a link that leads out of the folder of specs", LINK_OUTSIDE.id)
            case _:
                yield SpecProblem(
                    path, 1, 1, "", f"cannot be read: git finds no file there ({content})", FILE_UNREADABLE.id
                )


def _objects(git: Git, tree: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each spec, and its object id."""
    listed = git.data("ls-tree", "-r", "-z", "--full-tree", tree)
    for entry in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
        about, _, name = entry.partition("\t")
        mode, _, blob = about.split(" ")
        if mode in _FILE_MODES and _is_spec(name):
            # git follows links only by path, and accepts only a path on one line.
            yield name, f"{tree}:{name}" if mode == _LINK and "\n" not in name else blob


def _is_spec(name: str) -> bool:
    path = PurePosixPath(name)
    is_hidden = any(part.startswith(".") for part in path.parts)
    is_placed = len(path.parts) == 1 or path.parts[0] == SHARED
    return path.suffix in ENDINGS and is_placed and not is_hidden and path.name != ACCEPTED


@dataclass(frozen=True, slots=True)
class _LockThen:
    """The lock of a revision, with its name there: `main:generated/contracts.lock.json`."""

    revision: str
    path: str
    lock: Lock

    def place(self, name: str, version: int) -> Place:
        """Return the place of a job's version in it."""
        return _place(f"{self.revision}:{self.path}", self.lock, name, version)


def _forgotten_since(
    project: Project, then: _LockThen, today: Lock, released: Lock, jobs: Iterable[JobSpec]
) -> Iterator[ContractFinding]:
    """Yield a finding for each version that lost a contract. Deleted jobs are reported elsewhere.

    `released` is the lock of `today` with the current specs released.
    """
    specs = {job.class_name: job for job in jobs}
    for name in sorted(then.lock.jobs.keys() & released.jobs.keys()):
        was, now = then.lock.jobs[name], released.jobs[name]
        for loss in (*_losses(was, now), *_shown_again(was, now, specs[name])):
            back = f"take {then.path} back from {then.revision} and run server-jobs generate --force"
            meant = f"that is right if --forget {name}:{loss.version} removed it, as no row of it was left; else {back}"
            unmeant = f"{back}; or, if none was ever queued, accept the finding in {accepted_path(project)}"
            yield ContractFinding(
                place=_place(lock_path(project), today, name, loss.version),
                old=then.place(name, loss.version),
                severity=Severity.WARNING if loss.may_be_meant else Severity.ERROR,
                rule=ChangeRule.CONTRACT_FORGOTTEN.value,
                job=name,
                directions=(),
                message=loss.message,
                advice=meant if loss.may_be_meant else unmeant,
            )


@dataclass(frozen=True, slots=True)
class _Loss:
    """A lost contract. It may be intended if `--forget` does the same."""

    version: int
    message: str
    may_be_meant: bool


def _losses(was: LockedJob, now: LockedJob) -> Iterator[_Loss]:
    # A version above every known one means that the spec's version was lowered, which is its own finding.
    for version in (each for each in was.versions if each <= now.newest):
        known = now.versions.get(version, ())
        lost = sum(not any(each.has_schemas_of(one) for each in known) for one in was.versions[version])
        if not known:
            # `--forget` removes the oldest versions first; the newest version always leaves rows.
            may_be_meant = version < min(*now.versions, was.newest)
            yield _Loss(version, f"version {version} was released, and {_FORGOTTEN}, {_QUEUED}", may_be_meant)
        elif lost:
            others = "another contract" if lost == 1 else f"{lost} other contracts"
            message = f"version {version} was released with {others}, and {_FORGOTTEN}, {_QUEUED}"
            yield _Loss(version, message, may_be_meant=False)


def _shown_again(was: LockedJob, now: LockedJob, job: JobSpec) -> Iterator[_Loss]:
    """Yield redactions that only older rows need. The spec's own pointers are reported elsewhere."""
    for pointer in lasting_redactions(job, was.redact):
        if not is_covered(pointer, now.redact):
            yield _Loss(
                was.newest, f"{shown(pointer)} was redacted in older rows, and {_FORGOTTEN}", may_be_meant=False
            )


def _place(path: str, lock: Lock, name: str, version: int) -> Place:
    at = ("jobs", name, "versions", str(version))
    return Place(path, *lock.place_of(at), pointer_to(at))
