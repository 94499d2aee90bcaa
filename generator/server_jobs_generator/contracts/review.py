"""Compare the specs with the released contracts: all findings of a run, with remedies, and the new lock."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial

from server_jobs.contract.values import pointer_to
from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import JobSpec, Specs
from ..outputs import is_stored_elsewhere
from ..problems.problem import SpecProblem
from ..read.document import Pointer
from ..read.library import SpecFile, read_spec_files
from .accepted import accepted_path, read_accepted
from .against_revision import SinceRevision, compare_with_revision
from .contract import Contract, Status, contracts_of, is_example
from .contract_rules import ChangeRule
from .finding import ContractFinding, Direction, Place, Severity
from .job_history import release, relock_options
from .judge import Judge, OldContract, deletion_message, unique_findings
from .lock_file import Lock, LockedJob, lock_path
from .spec_places import Part, SpecPlaces

_UPCAST = "(the old model stays, and a stub asks how to upcast its rows)"
_NOWHERE = Place("", 1, 1, "")
_WIDE = (
    "let params take the rows of all of them (properties that one of them lacks are optional, two types are an anyOf)"
)
_ONCE = {Direction.READER: "every reader takes it", Direction.STORE: "no older result is left"}


@dataclass(frozen=True, slots=True)
class Compared:
    """The findings, remarks about the comparison with a revision, and the new lock."""

    findings: tuple[ContractFinding, ...]
    remarks: tuple[str, ...]
    lock: File


def compare_contracts(
    project: Project,
    released: Lock,
    specs: Specs,
    promised: Mapping[str, Contract],
    files: Sequence[SpecFile | SpecProblem],
    against: str | None,
) -> Compared:
    """Compare the specs with the released contracts, and with a revision of git if `against` names one.

    `promised` are the contracts of the specs, and `files` the spec files. Raises `ProjectError` if the revision cannot
    be read.
    """
    since = SinceRevision() if against is None else compare_with_revision(project, against, specs.jobs, released)
    findings = review(
        project, released, specs.jobs, others=since.findings, promised=promised, files=files, needs=specs.needs
    )
    lock = release(released, specs.jobs, promised)
    return Compared(findings, since.remarks, File(lock_path(project), lock.dump()))


def review(
    project: Project,
    lock: Lock,
    jobs: Sequence[JobSpec],
    *,
    others: Sequence[ContractFinding] = (),
    today: date | None = None,
    promised: Mapping[str, Contract] | None = None,
    files: Iterable[SpecFile | SpecProblem] | None = None,
    needs: Mapping[str, Collection[str]] | None = None,
) -> tuple[ContractFinding, ...]:
    """Return the findings in reading order; `others` are findings of another comparison, which can be accepted too.

    `promised` (the contracts of the jobs), `files` (the spec files) and `needs` (the files that each file refers to)
    save time if they are known already.
    """
    today = today or datetime.now(UTC).date()
    accepted, now = read_accepted(project), promised or contracts_of(jobs)
    found = files or read_spec_files(project.root, project.root / project.specs)
    places = SpecPlaces(found, needs=needs)
    all_findings = [*_findings_against_lock(project, lock, jobs, now, places), *others]
    judged = accepted.apply(unique_findings(_that_matter(project, all_findings, jobs)), today)
    judged += _ways_out(project, lock, judged, jobs, now, places)
    names = {*(job.class_name for job in jobs), *lock.jobs, *(finding.job for finding in judged)}
    return tuple(unique_findings([*judged, *accepted.leftovers(today, names)]))


def _that_matter(
    project: Project, found: Iterable[ContractFinding], jobs: Sequence[JobSpec]
) -> Iterator[ContractFinding]:
    """Drop new defaults of jobs that only Python stores, because Python writes defaults into rows."""
    named = {job.class_name: job for job in jobs}
    for finding in found:
        if finding.rule == ChangeRule.DEFAULT_CHANGED:
            job = named.get(finding.job)
            if not is_stored_elsewhere(project, job):
                continue
        yield finding


def _findings_against_lock(
    project: Project, lock: Lock, jobs: Sequence[JobSpec], promised: Mapping[str, Contract], places: SpecPlaces
) -> list[ContractFinding]:
    """Yield the contracts in the lock that the specs break. Contracts that are not in the lock yet cause warnings only.

    `promised` are the current contracts of the jobs.
    """
    entries = (_LockedEntry(project, lock, Judge(job, promised[job.class_name], places)) for job in jobs)
    judged = (finding for one in entries for finding in one.findings())
    return unique_findings([*judged, *_deleted(project, lock, jobs)])


class _LockedEntry:
    """One job and its entry in the lock."""

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
        for number in (each for each in self.locked.versions if each < version):
            yield from self.judge.earlier(number, self.locked.versions[number], self._way_back(number, self.locked))
        is_known = any(self.judge.now.hash == old.contract.hash for old in olds.get(version, ())[-1:])
        yield from (finding for finding in found if not is_known or finding.severity is Severity.ERROR)

    def _olds(self, version: int, revisions: Sequence[Contract]) -> Iterator[OldContract]:
        for index, revision in enumerate(revisions):
            at = ("jobs", self.job.class_name, "versions", str(version), index)
            yield OldContract(revision, partial(self._place, at), version)

    def _place(self, at: Pointer, part: Part, pointer: Pointer) -> Place:
        below = (*at, part.value, *pointer)
        return Place(self.path, *self.lock.place_of(below), pointer_to(below))

    def _way_back(self, version: int, locked: LockedJob) -> str:
        """Return the remedy for an earlier version whose kept model refuses some of its rows."""
        forgotten = " ".join(f"--forget {self.job.class_name}:{each}" for each in locked.versions if each <= version)
        wide = f'write "version": {version} in x-job, {_widened(version)}'
        none_left = "server-jobs check --database URL counts these rows: once none is left"
        rest = f"{none_left}, run server-jobs generate {forgotten} or accept the finding"
        return f"{wide}; or, {rest}" if version == locked.newest else rest

    def _lowered(self, locked: LockedJob) -> ContractFinding:
        message = f"version is {self.job.options.version}, and version {locked.newest} was released"
        place = self.judge.places.of_file(self.job, ("x-job", "version"))
        found = self.judge.finding(ChangeRule.VERSION_LOWERED, place, message, Severity.ERROR)
        newer = [version for version in locked.versions if version > self.job.options.version]
        return replace(found, advice=f"{found.advice}; or, {_never_queued(self.job.class_name, locked, newer)}")


def _deleted(project: Project, lock: Lock, jobs: Sequence[JobSpec]) -> Iterator[ContractFinding]:
    named = {job.class_name for job in jobs}
    for name, locked in lock.jobs.items():
        is_left = name in named or locked.status is not Status.ACTIVE
        if not is_left and not is_example(name, locked.versions):
            yield _deletion(project, lock, name, locked, jobs)


def _deletion(project: Project, lock: Lock, name: str, locked: LockedJob, jobs: Sequence[JobSpec]) -> ContractFinding:
    retitled = next((job for job in jobs if job.spec_name == locked.spec_name), None)
    message, advice = deletion_message(locked.spec_name, retitled)
    place = Place(lock_path(project), *lock.place_of(("jobs", name)), pointer_to(("jobs", name)))
    return ContractFinding(
        place=place,
        old=None,
        severity=Severity.ERROR,
        rule=ChangeRule.JOB_DELETED.value,
        job=name,
        directions=(),
        message=message,
        advice=f"{advice}; or, {_never_queued(name, locked, locked.versions)}",
    )


def _ways_out(
    project: Project,
    lock: Lock,
    found: Sequence[ContractFinding],
    jobs: Sequence[JobSpec],
    promised: Mapping[str, Contract],
    places: SpecPlaces,
) -> Iterator[ContractFinding]:
    """Yield remedies for the findings that stop, once for the params and once for the result of each broken job."""
    broken: dict[str, set[Direction]] = defaultdict(set)
    for one in found:
        if one.stops:
            broken[one.job].update(one.directions)
    for job in jobs:
        if (directions := broken.get(job.class_name)) is not None:
            judge = Judge(job, promised[job.class_name], places)
            yield from _WaysOut(project, judge, lock.jobs.get(job.class_name), directions).findings()


def _widened(version: int) -> str:
    """Return the steps that keep the rows of each contract of a version readable when it is raised."""
    return f'{_WIDE}, run server-jobs generate, and then write "version": {version + 1}'


def _never_queued(name: str, locked: LockedJob, versions: Collection[int]) -> str:
    """Return the remedy if these versions have no rows; earlier versions stay in the lock."""
    newer = sorted(versions)
    of_them = "" if len(newer) == len(locked.versions) else f" of version {' or '.join(map(str, newer))}"
    return f"if none{of_them} was ever queued, run server-jobs generate {relock_options(name, locked, newer)}"


@dataclass(frozen=True, slots=True)
class _WaysOut:
    """The remedies of one job. Findings of a comparison with a revision remain after the lock forgets a version."""

    project: Project
    judge: Judge
    locked: LockedJob | None
    broken: Collection[Direction]

    def findings(self) -> Iterator[ContractFinding]:
        if not {Direction.QUEUE, Direction.ROLLOUT}.isdisjoint(self.broken):
            yield self._not_bumped()
        if not _ONCE.keys().isdisjoint(self.broken):
            yield self._result_broken()

    def _not_bumped(self) -> ContractFinding:
        job, version = self.judge.job, self.judge.job.options.version
        queued, workers = "queued jobs no longer fit the spec", "older workers cannot read new jobs"
        message = f"its version is still {version}, but {queued if Direction.QUEUE in self.broken else workers}"
        place = self.judge.places.of_file(job, ("x-job", "version"))
        found = self.judge.finding(ChangeRule.VERSION_NOT_BUMPED, place, message, Severity.ERROR)
        others = self._others({version} & self._broken_in(Part.PARAMS))
        return replace(found, advice="; ".join([self._raised(version), *others]))

    def _raised(self, version: int) -> str:
        """Return how to raise the version, of which only the last contract gets a model."""
        revisions = self._versions.get(version, ())
        if not revisions or self.judge.refused(revisions) is None:
            return f'write "version": {version + 1} in x-job {_UPCAST}'
        return f"version {version} was released with contracts that do not read each other's rows: {_widened(version)}"

    def _result_broken(self) -> ContractFinding:
        """Return the remedy for results. A new version does not help, because results are never upcast. A user who
        knows the readers can declare that they follow.
        """
        named = [direction for direction in _ONCE if direction in self.broken]
        compat = json.dumps({direction.value: Severity.WARNING.value for direction in named})
        follows = f'once {" and ".join(map(_ONCE.__getitem__, named))}, write "compat": {compat} in x-job'
        message = "its result changed, and a higher version does not help: results are not upcast"
        place = self.judge.places.of_part(self.judge.job, Part.RESULT, ())
        found = self.judge.finding(ChangeRule.RESULT_BROKEN, place, message, Severity.ERROR)
        broken = self._broken_in(Part.RESULT)
        newer = [version for version in self._versions if broken and version >= min(broken)]
        return replace(found, advice="; ".join([follows, *self._others(newer)]))

    def _others(self, versions: Collection[int]) -> Iterator[str]:
        if self.locked is not None and versions:
            yield f"or, {_never_queued(self.judge.job.class_name, self.locked, versions)}"
        yield f"or accept the finding in {accepted_path(self.project)}"

    def _broken_in(self, part: Part) -> set[int]:
        """Return the versions in the lock that the spec breaks."""
        versions = self._versions.items()
        return {version for version, revisions in versions if any(self._breaks(part, each) for each in revisions)}

    @property
    def _versions(self) -> Mapping[int, Sequence[Contract]]:
        return {} if self.locked is None else self.locked.versions

    def _breaks(self, part: Part, revision: Contract) -> bool:
        judge = self.judge.params if part is Part.PARAMS else self.judge.results
        old = OldContract(revision, lambda *_: _NOWHERE, self.judge.job.options.version)
        return any(found.severity is Severity.ERROR for found in judge([old]))
