"""The specs as they are held against everything that was released."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from server_jobs.project import Project
from server_jobs.values import pointer_to

from ..document import Pointer
from ..spec import JobSpec
from .accepted import accepted_path
from .contract import Contract, Status
from .finding import ContractFinding, Direction, Severity
from .judge import Judge, OldContract, unique_findings
from .lock import Lock, LockedJob, lock_path
from .place import Place
from .relock import relock_options
from .rules import ChangeRule
from .spec_places import Part, SpecPlaces


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
        return replace(found, advice=f"{found.advice}; or, {_never_queued(self.job.class_name, locked, newer)}")


def not_bumped(
    project: Project,
    lock: Lock,
    found: Sequence[ContractFinding],
    jobs: Sequence[JobSpec],
    promised: Mapping[str, Contract],
    places: SpecPlaces,
) -> Iterator[ContractFinding]:
    """The ways out, once for each job whose params broke without a new version."""
    broken = {one.job for one in found if one.stops and Direction.QUEUE in one.directions}
    for job in jobs:
        if job.class_name in broken:
            now, locked = promised[job.class_name], lock.jobs.get(job.class_name)
            judge, place = Judge(job, now, places), places.of_file(job, ("x-job", "version"))
            message = f"its version is still {job.options.version}, and jobs that are queued do not fit it any more"
            found_here = judge.finding(ChangeRule.VERSION_NOT_BUMPED, place, message, Severity.ERROR)
            yield replace(found_here, advice="; ".join(_ways_out(project, job, now, locked)))


def _ways_out(project: Project, job: JobSpec, now: Contract, locked: LockedJob | None) -> Iterator[str]:
    version = job.options.version
    yield f'write "version": {version + 1} in x-job {_UPCAST}'
    revisions = () if locked is None else locked.versions.get(version, ())
    # Else it was another comparison that found something, and nothing comes of taking this out of the lock.
    if locked is not None and any(not revision.has_schemas_of(now) for revision in revisions):
        yield f"or, {_never_queued(job.class_name, locked, [version])}"
    yield f"or accept the finding in {accepted_path(project)}"


_UPCAST = "(the old model stays, and a stub asks how its rows become new ones)"


def _never_queued(name: str, locked: LockedJob, versions: Collection[int]) -> str:
    """The way out where no row can be of these versions; earlier ones stay in the lock."""
    newer = sorted(versions)
    of_them = "" if len(newer) == len(locked.versions) else f" of version {' or '.join(map(str, newer))}"
    return f"if none{of_them} was ever queued, run server-jobs generate {relock_options(name, locked, newer)}"


def _deleted(project: Project, lock: Lock, jobs: Sequence[JobSpec]) -> Iterator[ContractFinding]:
    named = {job.class_name for job in jobs}
    for name, locked in lock.jobs.items():
        if name not in named and locked.status is Status.ACTIVE:
            yield _deletion(project, lock, name, locked, jobs)


def _deletion(project: Project, lock: Lock, name: str, locked: LockedJob, jobs: Sequence[JobSpec]) -> ContractFinding:
    renamed = next((job.class_name for job in jobs if job.spec_name == locked.spec_name), None)
    gone = (
        f"its spec {project.specs}/{locked.spec_name}.json is gone"
        if renamed is None
        else f"its title is {renamed} now"
    )
    back = "take the spec back" if renamed is None else "keep a spec with the old title"
    place = Place(lock_path(project), *lock.place_of(("jobs", name)), pointer_to(("jobs", name)))
    return ContractFinding(
        place=place,
        old=None,
        severity=Severity.ERROR,
        rule=ChangeRule.JOB_DELETED.value,
        job=name,
        directions=(),
        message=f"{gone}, and jobs of it may be queued that nothing would run",
        advice=(
            f'{back} and set "status": "retired" in its x-job, until no row is left; '
            f"or, {_never_queued(name, locked, locked.versions)}"
        ),
    )
