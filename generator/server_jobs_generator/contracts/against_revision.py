"""The specs as they are held against those of a revision of git: `server-jobs check --against main`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..ir.spec import JobSpec, check_specs
from ..lint.spec_style import OF_THE_PAST
from ..problems.problem import SpecProblem
from ..read.spec_files import SpecFile, read_spec_files
from .against_lock import why_deleted
from .contract import contract_of
from .contract_rules import ChangeRule
from .example import is_example
from .finding import ContractFinding, Severity
from .git_revision import Revision, read_revision
from .judge import Judge, OldContract, unique_findings
from .lock.forgotten import LockThen, forgotten_since
from .lock.lock_file import Lock, parse_lock
from .lock.release import release
from .place import Place
from .spec_places import SpecPlaces

_MOST_SHOWN = 5
_GO_ON = (
    "what is committed cannot be mended: compare with a revision before it, as by --against {revision}~1, "
    "and with {revision} again once the repair is there"
)


@dataclass(frozen=True, slots=True)
class SinceRevision:
    """What the specs break of those of a revision, and what there is to say about the comparison itself."""

    findings: tuple[ContractFinding, ...] = ()
    remarks: tuple[str, ...] = ()


def compare_with_revision(project: Project, revision: str, jobs: Sequence[JobSpec], lock: Lock) -> SinceRevision:
    """Hold the specs, and all that is in the lock, against those at that revision, of which nothing is checked out.

    Raises `ProjectError` when git or the revision is not there, or what it has cannot be read.
    """
    then = read_revision(project, revision)
    if not then.specs:
        return SinceRevision(
            remarks=(f"{revision} has no specs in {then.folder}, so there is nothing to compare with",)
        )
    was = _lock_then(revision, then)
    broken = _findings(project, revision, then.specs, jobs, was.lock)
    return SinceRevision((*broken, *forgotten_since(project, was, lock, release(lock, jobs), jobs)))


def _lock_then(revision: str, then: Revision) -> LockThen:
    """The lock of that revision; an empty one where there was none."""
    if then.lock is None:
        return LockThen(revision, then.lock_path, Lock())
    lock = parse_lock(f"{revision}:{then.lock_path}", then.lock, advice=_GO_ON.format(revision=revision))
    return LockThen(revision, then.lock_path, lock)


def _findings(
    project: Project, revision: str, files: Sequence[SpecFile | SpecProblem], jobs: Sequence[JobSpec], lock_then: Lock
) -> list[ContractFinding]:
    olds = check_specs(files, OF_THE_PAST)
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
    message, advice = why_deleted(old.path, retitled, was_retired=old.options.retired)
    # By the path alone whoever shows findings beside a change knows the file; which revision had it says `old`.
    place = Place(old.path, 1, 1, "") if retitled is None else places.of_file(retitled, ("title",))
    found = judge.finding(ChangeRule.JOB_DELETED, place, message, severity)
    return replace(found, old=before.of_file(old, () if retitled is None else ("title",)), advice=advice)
