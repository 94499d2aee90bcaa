"""A job and its history in the lock: earlier versions with their upcasters, lasting redactions, and new contracts.

The last revision of each version comes from the lock. Generated names of a version do not change when the next one
comes, so that upcasters written by users stay valid."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pydantic import JsonValue
from server_jobs.contract.json_schema import NO_RESULT
from server_jobs.contract.values import canonical, fingerprint, pointer_to
from server_jobs.domain.options import JobOptions
from server_jobs.errors import InvalidOptionError

from ..ir.spec import JobSpec
from ..problems.problem import SpecProblem, listed, shown
from ..problems.rules import NAME_TAKEN
from .compare.compare_schemas import compare
from .compare.node import Node, leads_somewhere
from .contract import Contract, Status, canonical_schema, contracts_of
from .lock_file import Lock, LockedJob

_MARK = re.compile(r" \(change [0-9a-f]{8}\)$")
_MOST_CHANGES = 5


def release(lock: Lock, jobs: Sequence[JobSpec], promised: Mapping[str, Contract] | None = None) -> Lock:
    """Return the lock with the contract of each job, as a new revision if its schemas are not locked yet.

    `promised` are the contracts of the jobs, if they are known already.
    """
    now = promised or contracts_of(jobs)
    released = {job.class_name: _released(lock.jobs.get(job.class_name), job, now[job.class_name]) for job in jobs}
    is_same = released.keys() == lock.jobs.keys() and all(released[name] is lock.jobs[name] for name in released)
    return lock if is_same else Lock(released)


def _released(locked: LockedJob | None, job: JobSpec, contract: Contract) -> LockedJob:
    """Return the new entry of a job; the same object if nothing changed."""
    version, status = job.options.version, Status.RETIRED if job.options.retired else Status.ACTIVE
    versions = {} if locked is None else dict(locked.versions)
    revisions = versions.get(version, ())
    redact = lasting_redactions(job, locked.redact if locked else ())
    is_known = any(revision.hash == contract.hash for revision in revisions[-1:])
    facts = (job.spec_name, status, redact)
    if locked is not None and is_known and (locked.spec_name, locked.status, locked.redact) == facts:
        return locked
    versions[version] = _with(revisions, contract)
    return LockedJob(spec_name=job.spec_name, status=status, versions=versions, redact=redact)


def _with(revisions: tuple[Contract, ...], contract: Contract) -> tuple[Contract, ...]:
    """Append the contract, even if it equals an older revision, because later changes start from the last one.

    Keep only one revision with equal schemas, because existing rows ignore options.
    """
    return (*(revision for revision in revisions if not revision.has_schemas_of(contract)), contract)


def lasting_redactions(job: JobSpec, before: Sequence[str]) -> tuple[str, ...]:
    """Return the pointers that a spec redacts, and pointers of `before` that its params no longer have.

    Stored rows still have values there.
    """
    revealed = revealed_since(job, before)
    return (*job.options.redact, *(pointer for pointer in _uncovered(job, before) if pointer not in revealed))


def revealed_since(job: JobSpec, before: Sequence[str]) -> tuple[str, ...]:
    """Return the pointers of `before` that params still have but the spec does not redact."""
    uncovered = _uncovered(job, before)
    params = Node.top(canonical_schema(job.params)) if uncovered else None
    return tuple(pointer for pointer in uncovered if params and leads_somewhere(params, pointer))


def with_lasting_redactions(job: JobSpec, lock: Lock) -> JobSpec:
    """Return the job with lasting redactions; the same object if there are none."""
    locked = lock.jobs.get(job.class_name)
    redact = lasting_redactions(job, locked.redact if locked else ())
    return job if redact == job.options.redact else replace(job, options=replace(job.options, redact=redact))


def is_covered(pointer: str, redacted: Iterable[str]) -> bool:
    """Return whether a pointer is redacted: it is one of these, or below one."""
    return any(f"{pointer}/".startswith(f"{one}/") for one in redacted)


def _uncovered(job: JobSpec, before: Sequence[str]) -> list[str]:
    return [pointer for pointer in before if not is_covered(pointer, job.options.redact)]


def relock(lock: Lock, given: Sequence[tuple[str, int | None]]) -> Lock:
    """Return the lock without these versions of jobs, newest first; None stands for the only version.

    A job is given by its name or its spec's name, and leaves the lock with its last version. Raises
    `InvalidOptionError` for an unknown job or version, for None if there are several versions, and for a version older
    than one that is kept.
    """
    if not given:
        return lock
    dropped: dict[str, set[int | None]] = {}
    for name, version in given:
        dropped.setdefault(lock.name_of(name), set()).add(version)
    jobs = dict(lock.jobs)
    for name, versions in dropped.items():
        job = jobs.pop(name)
        kept = sorted(job.versions.keys() - _dropped(name, job, versions))
        if kept:
            jobs[name] = replace(job, versions={version: job.versions[version] for version in kept})
    return Lock(jobs, lock.text)


def relock_options(name: str, job: LockedJob, versions: Collection[int]) -> str:
    """Return the options of `generate` that drop these versions of a job."""
    only = len(job.versions) == 1
    return " ".join(f"--relock {name}" if only else f"--relock {name}:{version}" for version in sorted(versions))


def _dropped(name: str, job: LockedJob, given: Collection[int | None]) -> set[int]:
    if None in given and len(job.versions) > 1:
        raise InvalidOptionError(_several(name, job))
    dropped = {job.newest if version is None else version for version in given}
    kept = job.versions.keys() - dropped
    for version in sorted(dropped):
        if version not in job.versions:
            known = " and ".join(map(str, job.versions))
            raise InvalidOptionError(f"nothing was released of version {version} of {name}: the lock has {known}")
        if kept and version < max(kept):
            raise InvalidOptionError(
                f"version {version} of {name} stays in the lock as long as version {max(kept)} does; "
                f"--forget {name}:{version} is for earlier versions that no row uses"
            )
    return dropped


def _several(name: str, job: LockedJob) -> str:
    return (
        f"the lock has versions {' and '.join(map(str, job.versions))} of {name}, and rows of each may be queued; "
        f"{relock_options(name, job, [job.newest])} drops only what was released of version {job.newest}, "
        f"{relock_options(name, job, job.versions)} drops everything"
    )


def forget(lock: Lock, versions: Sequence[tuple[str, int]]) -> Lock:
    """Return the lock without these earlier versions, oldest first. A job is given by its name or its spec's name.

    Raises `InvalidOptionError` for an unknown version, for the newest one, and for one that an older version needs.
    """
    if not versions:
        return lock
    forgotten: dict[str, set[int]] = {}
    for given, version in versions:
        forgotten.setdefault(lock.name_of(given), set()).add(version)
    left = {name: _without(name, lock.jobs[name], each) for name, each in forgotten.items()}
    return Lock({**lock.jobs, **left}, lock.text)


def _without(name: str, job: LockedJob, forgotten: set[int]) -> LockedJob:
    earlier = [version for version in job.versions if version != job.newest]
    kept = job.versions.keys() - forgotten
    for version in sorted(forgotten):
        if version not in earlier:
            known = f"it can forget {listed(map(str, earlier))}" if earlier else "it has no earlier version"
            raise InvalidOptionError(f"version {version} of {name} cannot be forgotten: {known}")
        older = sorted(each for each in kept if each < version)
        if older:
            raise InvalidOptionError(_in_between(name, version, older))
    return replace(job, versions={version: job.versions[version] for version in sorted(kept)})


def _in_between(name: str, version: int, older: Sequence[int]) -> str:
    kept = f"version {older[0]} is" if len(older) == 1 else f"versions {' and '.join(map(str, older))} are"
    options = " ".join(f"--forget {name}:{each}" for each in (*older, version))
    return (
        f"version {version} of {name} cannot be forgotten while {kept} kept, whose rows are upcast through it; "
        f"forget the older ones first, or all in one run, once no row uses them: {options}"
    )


@dataclass(frozen=True, slots=True)
class ParamsVersion:
    """The params of one version of a job: from the spec for the current version, from the lock for earlier ones."""

    job: JobSpec
    version: int
    params: Mapping[str, JsonValue]

    @property
    def module(self) -> str:
        """Return the name of its module, both for the model and for the upcaster: `send_email_v1`."""
        return f"{self.job.spec_name}_v{self.version}"

    @property
    def class_name(self) -> str:
        """Return the name of its model: `SendEmailParamsV1`."""
        return f"{self.job.class_name}Params{self.suffix}"

    @property
    def suffix(self) -> str:
        """Return the suffix that separates its model from the current version's."""
        return f"V{self.version}"

    @property
    def place(self) -> tuple[str, str]:
        """Return the module and the name of its model."""
        return self.module, self.class_name

    def has_shape_of(self, other: ParamsVersion) -> bool:
        """Return whether both have exactly the same params."""
        return canonical(canonical_schema(self.params)) == canonical(canonical_schema(other.params))

    def spec(self) -> JobSpec:
        """Return a job with only the params, from which its models are made."""
        return replace(
            self.job,
            description=None,
            params=self.params,
            result=NO_RESULT,
            options=JobOptions(version=self.version),
            schedules=(),
            is_earlier=True,
        )


@dataclass(frozen=True, slots=True)
class VersionStep:
    """The step from one version to the next. Versions with equal params need no function."""

    before: ParamsVersion
    after: ParamsVersion

    @property
    def needs_upcast(self) -> bool:
        """Return whether the user has to write how the params change."""
        return not self.before.has_shape_of(self.after)


def steps_of(job: JobSpec, lock: Lock) -> tuple[VersionStep, ...]:
    """Return the steps from the oldest locked version to the spec's version; none for a job with one version."""
    locked = lock.jobs.get(job.class_name)
    current = job.options.version
    earlier = [
        ParamsVersion(job, version, revisions[-1].params)
        for version, revisions in sorted(locked.versions.items() if locked else ())
        if version < current
    ]
    versions = [*earlier, ParamsVersion(job, current, job.params)]
    return tuple(VersionStep(before, after) for before, after in pairwise(versions))


def before_last_change(locked: LockedJob | None, now: Contract) -> Contract | None:
    """Return the newest contract with other schemas than the current one; None if the schemas never changed."""
    revisions = [one for _, each in sorted(locked.versions.items()) for one in each] if locked else []
    return next((one for one in reversed(revisions) if not one.has_schemas_of(now)), None)


def last_change(job: JobSpec, before: Contract, now: Contract) -> tuple[str, ...]:
    """Return a line for each difference between the two contracts, with its place: `params/user/name: …`."""
    found = [
        f"{part}{pointer_to([step for step in change.new if step != 'properties'])}: {_MARK.sub('', change.message)}"
        for part, old, new in (("params", before.params, now.params), ("result", before.result, now.result))
        for change in compare(old, new, job.reserved)
    ]
    more = len(found) - _MOST_CHANGES
    return (*found[:_MOST_CHANGES], *([f"and {more} more"] if more > 0 else ()))


def hashes_of(
    jobs: Iterable[JobSpec],
    steps: Mapping[str, Sequence[VersionStep]],
    before: Mapping[str, Contract | None],
) -> dict[str, str]:
    """Return a hash for each job, by class name, of its parts that only the lock has.

    These are earlier versions, lasting redactions, and the contract before the last change. `steps` and `before` have
    them for each job. Jobs without any are left out.
    """
    facts = {job.class_name: ([_facts(step.before) for step in steps[job.class_name]], job) for job in jobs}
    return {
        name: fingerprint([versions, list(job.options.redact), None if (old := before[name]) is None else old.schemas])
        for name, (versions, job) in facts.items()
        if versions or job.options.redact or before[name]
    }


def _facts(version: ParamsVersion) -> JsonValue:
    return [version.version, dict(version.params)]


def name_problems(jobs: Sequence[JobSpec], lock: Lock) -> Iterator[SpecProblem]:
    """Yield specs whose names collide with names of an earlier version of another job."""
    specs = {job.spec_name: job for job in jobs}
    titles = {job.class_name.casefold(): job for job in jobs}
    for job in jobs:
        steps = steps_of(job, lock)
        for version in [*(step.before for step in steps), *(step.after for step in steps[-1:])]:
            taker = specs.get(version.module) or titles.get(version.class_name.casefold())
            if taker is not None:
                names = f"{shown(version.module)} and {shown(version.class_name)}"
                message = f"the names {names} are those of version {version.version} of {job.class_name}; rename this"
                yield SpecProblem(taker.path, 1, 1, "", message, NAME_TAKEN.id)
