"""What else can be done about a broken contract than to change the spec in another way."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from server_jobs.project import Project

from ..ir.spec import JobSpec
from .accepted import accepted_path
from .contract import Contract
from .contract_rules import ChangeRule
from .finding import ContractFinding, Direction, Severity
from .judge import Judge, OldContract
from .lock.lock_file import Lock, LockedJob
from .lock.relock import relock_options
from .place import Place
from .spec_places import Part, SpecPlaces

_UPCAST = "(the old model stays, and a stub asks how its rows become new ones)"
_NOWHERE = Place("", 1, 1, "")
_ONCE = {Direction.READER: "every reader takes it", Direction.STORE: "no older result is left"}


def ways_out(
    project: Project,
    lock: Lock,
    found: Sequence[ContractFinding],
    jobs: Sequence[JobSpec],
    promised: Mapping[str, Contract],
    places: SpecPlaces,
) -> Iterator[ContractFinding]:
    """The ways out of findings that stop, once for the params and once for the result of each job that they break."""
    broken: dict[str, set[Direction]] = defaultdict(set)
    for one in found:
        if one.stops:
            broken[one.job].update(one.directions)
    for job in jobs:
        if (directions := broken.get(job.class_name)) is not None:
            judge = Judge(job, promised[job.class_name], places)
            yield from _WaysOut(project, judge, lock.jobs.get(job.class_name), directions).findings()


def never_queued(name: str, locked: LockedJob, versions: Collection[int]) -> str:
    """The way out where no row can be of these versions; earlier ones stay in the lock."""
    newer = sorted(versions)
    of_them = "" if len(newer) == len(locked.versions) else f" of version {' or '.join(map(str, newer))}"
    return f"if none{of_them} was ever queued, run server-jobs generate {relock_options(name, locked, newer)}"


@dataclass(frozen=True, slots=True)
class _WaysOut:
    """Those of one job. What is found by another comparison than that with the lock stays when the lock forgets it."""

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
        queued, workers = "jobs that are queued do not fit it any more", "older workers cannot read what it enqueues"
        message = f"its version is still {version}, and {queued if Direction.QUEUE in self.broken else workers}"
        place = self.judge.places.of_file(job, ("x-job", "version"))
        found = self.judge.finding(ChangeRule.VERSION_NOT_BUMPED, place, message, Severity.ERROR)
        others = self._others({version} & self._broken_in(Part.PARAMS))
        return replace(found, advice="; ".join([f'write "version": {version + 1} in x-job {_UPCAST}', *others]))

    def _result_broken(self) -> ContractFinding:
        """No version is a way out, as results are never upcast; whoever knows the readers can say that they follow."""
        named = [direction for direction in _ONCE if direction in self.broken]
        compat = json.dumps({direction.value: Severity.WARNING.value for direction in named})
        follows = f'once {" and ".join(map(_ONCE.__getitem__, named))}, write "compat": {compat} in x-job'
        message = "its result is not what it was, and a higher version does not help: results are not upcast"
        place = self.judge.places.of_part(self.judge.job, Part.RESULT, ())
        found = self.judge.finding(ChangeRule.RESULT_BROKEN, place, message, Severity.ERROR)
        broken = self._broken_in(Part.RESULT)
        newer = [version for version in self._versions if broken and version >= min(broken)]
        return replace(found, advice="; ".join([follows, *self._others(newer)]))

    def _others(self, versions: Collection[int]) -> Iterator[str]:
        if self.locked is not None and versions:
            yield f"or, {never_queued(self.judge.job.class_name, self.locked, versions)}"
        yield f"or accept the finding in {accepted_path(self.project)}"

    def _broken_in(self, part: Part) -> set[int]:
        """The versions in the lock that the spec breaks."""
        versions = self._versions.items()
        return {version for version, revisions in versions if any(self._breaks(part, each) for each in revisions)}

    @property
    def _versions(self) -> Mapping[int, Sequence[Contract]]:
        return {} if self.locked is None else self.locked.versions

    def _breaks(self, part: Part, revision: Contract) -> bool:
        judge = self.judge.params if part is Part.PARAMS else self.judge.results
        old = OldContract(revision, lambda *_: _NOWHERE, self.judge.job.options.version)
        return any(found.severity is Severity.ERROR for found in judge([old]))
