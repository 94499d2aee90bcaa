"""The specs as they are held against everything that was released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from server_jobs.contract.values import pointer_to
from server_jobs.project import Project

from ..ir.spec import JobSpec
from ..read.document import Pointer
from .contract import Contract, Status
from .contract_rules import ChangeRule
from .example import is_example
from .finding import ContractFinding, Severity
from .judge import Judge, OldContract, unique_findings
from .lock.lock_file import Lock, LockedJob, lock_path
from .place import Place
from .spec_places import Part, SpecPlaces
from .ways_out import never_queued


def findings_against_lock(
    project: Project, lock: Lock, jobs: Sequence[JobSpec], promised: Mapping[str, Contract], places: SpecPlaces
) -> list[ContractFinding]:
    """What the specs break of the contracts in the lock; warnings only about what is not in it yet.

    `promised` are the contracts of the jobs.
    """
    held = (_Held(project, lock, Judge(job, promised[job.class_name], places)) for job in jobs)
    judged = (finding for one in held for finding in one.findings())
    return unique_findings([*judged, *_deleted(project, lock, jobs)])


class _Held:
    """One job and what the lock has of it."""

    def __init__(self, project: Project, lock: Lock, judge: Judge) -> None:
        self.path, self.lock, self.judge, self.job = lock_path(project), lock, judge, judge.job
        self.locked = lock.jobs.get(self.job.class_name)

    def findings(self) -> Iterator[ContractFinding]:
        yield from self.judge.reserved()
        yield from self.judge.redactions(self.locked.redact if self.locked else ())
        version = self.job.options.version
        if self.locked is None or self.locked.is_only(self.judge.now, version):
            return
        if version < self.locked.newest:
            yield self._lowered(self.locked)
            return
        olds = {number: list(self._olds(number, revisions)) for number, revisions in self.locked.versions.items()}
        everything = [old for revisions in olds.values() for old in revisions]
        found = [*self.judge.params(olds.get(version, ())), *self.judge.results(everything)]
        found += self.judge.options(olds[self.locked.newest][-1])
        is_known = any(self.judge.now.hash == old.contract.hash for old in olds.get(version, ())[-1:])
        yield from (finding for finding in found if not is_known or finding.severity is Severity.ERROR)

    def _olds(self, version: int, revisions: Sequence[Contract]) -> Iterator[OldContract]:
        for index, revision in enumerate(revisions):
            at = ("jobs", self.job.class_name, "versions", str(version), index)
            yield OldContract(revision, partial(self._place, at), version)

    def _place(self, at: Pointer, part: Part, pointer: Pointer) -> Place:
        below = (*at, part.value, *pointer)
        return Place(self.path, *self.lock.place_of(below), pointer_to(below))

    def _lowered(self, locked: LockedJob) -> ContractFinding:
        message = f"version is {self.job.options.version}, and version {locked.newest} was released"
        place = self.judge.places.of_file(self.job, ("x-job", "version"))
        found = self.judge.finding(ChangeRule.VERSION_LOWERED, place, message, Severity.ERROR)
        newer = [version for version in locked.versions if version > self.job.options.version]
        return replace(found, advice=f"{found.advice}; or, {never_queued(self.job.class_name, locked, newer)}")


def _deleted(project: Project, lock: Lock, jobs: Sequence[JobSpec]) -> Iterator[ContractFinding]:
    named = {job.class_name for job in jobs}
    for name, locked in lock.jobs.items():
        is_left = name in named or locked.status is not Status.ACTIVE
        if not is_left and not is_example(name, locked.versions):
            yield _deletion(project, lock, name, locked, jobs)


def _deletion(project: Project, lock: Lock, name: str, locked: LockedJob, jobs: Sequence[JobSpec]) -> ContractFinding:
    retitled = next((job for job in jobs if job.spec_name == locked.spec_name), None)
    message, advice = why_deleted(f"{project.specs}/{locked.spec_name}.json", retitled)
    place = Place(lock_path(project), *lock.place_of(("jobs", name)), pointer_to(("jobs", name)))
    return ContractFinding(
        place=place,
        old=None,
        severity=Severity.ERROR,
        rule=ChangeRule.JOB_DELETED.value,
        job=name,
        directions=(),
        message=message,
        advice=f"{advice}; or, {never_queued(name, locked, locked.versions)}",
    )


def why_deleted(path: str, retitled: JobSpec | None, *, was_retired: bool = False) -> tuple[str, str]:
    """What to say of a job that is gone, and what to do; `retitled` is the one that has its spec now, if any."""
    gone = f"its spec {path} is gone" if retitled is None else f"its title is {retitled.class_name} now"
    back = "take the spec back" if retitled is None else "keep a spec with the old title"
    return (
        f"{gone}, and jobs of it may be queued that nothing would run",
        f"{back} as long as rows of it are left"
        if was_retired
        else f'{back} and set "status": "retired" in its x-job, until no row is left',
    )
