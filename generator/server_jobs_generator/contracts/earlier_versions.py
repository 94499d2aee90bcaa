"""Versions of a job before that of its spec: their models, and the upcasters that lead from one to the next.

They come from the lock, of each version its last revision. What is generated of a version keeps its names when the
next one comes, so that an upcaster that somebody wrote stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pydantic import JsonValue
from server_jobs.contract.values import canonical, fingerprint
from server_jobs.domain.options import JobOptions

from ..ir.spec import JobSpec
from ..problems.problem import SpecProblem, shown
from ..problems.spec_rules import NAME_TAKEN
from .compare.canonical import canonical_schema
from .lock.lock_file import Lock

_NO_RESULT: Mapping[str, JsonValue] = {"type": "object", "additionalProperties": False, "properties": {}}


@dataclass(frozen=True, slots=True)
class ParamsVersion:
    """The params of one version of a job: those of its spec for the current version, else those in the lock."""

    job: JobSpec
    version: int
    params: Mapping[str, JsonValue]

    @property
    def module(self) -> str:
        """The name of its module, among the models and among the handlers: `send_email_v1`."""
        return f"{self.job.spec_name}_v{self.version}"

    @property
    def class_name(self) -> str:
        """The name of its model: `SendEmailParamsV1`."""
        return f"{self.job.class_name}Params{self.suffix}"

    @property
    def suffix(self) -> str:
        """What tells its model from that of the current version."""
        return f"V{self.version}"

    @property
    def place(self) -> tuple[str, str]:
        """The module of its model, and the name of it there."""
        return self.module, self.class_name

    def has_shape_of(self, other: ParamsVersion) -> bool:
        """Whether both take the same params, word for word."""
        return canonical(canonical_schema(self.params)) == canonical(canonical_schema(other.params))

    def spec(self) -> JobSpec:
        """What its models are made of: a job of which only the params are left."""
        return replace(
            self.job,
            description=None,
            params=self.params,
            result=_NO_RESULT,
            options=JobOptions(version=self.version),
            schedules=(),
            is_earlier=True,
        )


@dataclass(frozen=True, slots=True)
class VersionStep:
    """The way from one version to the next; no function is needed where both take the same params."""

    before: ParamsVersion
    after: ParamsVersion

    @property
    def needs_upcast(self) -> bool:
        """Whether somebody has to say how the params change."""
        return not self.before.has_shape_of(self.after)


def steps_of(job: JobSpec, lock: Lock) -> tuple[VersionStep, ...]:
    """From the oldest version of a job that may be stored to that of its spec; none for a job with one version."""
    locked = lock.jobs.get(job.class_name)
    current = job.options.version
    earlier = [
        ParamsVersion(job, version, revisions[-1].params)
        for version, revisions in sorted(locked.versions.items() if locked else ())
        if version < current
    ]
    versions = [*earlier, ParamsVersion(job, current, job.params)]
    return tuple(VersionStep(before, after) for before, after in pairwise(versions))


def hashes_of(jobs: Iterable[JobSpec], steps: Mapping[str, Sequence[VersionStep]]) -> dict[str, str]:
    """A hash of what the lock adds to each job, by its class name: earlier versions, and what stays redacted.

    `steps` are those of each. Jobs that have neither are left out.
    """
    facts = {job.class_name: ([_facts(step.before) for step in steps[job.class_name]], job) for job in jobs}
    return {
        name: fingerprint([versions, list(job.options.redact)])
        for name, (versions, job) in facts.items()
        if versions or job.options.redact
    }


def _facts(version: ParamsVersion) -> JsonValue:
    return [version.version, dict(version.params)]


def name_problems(jobs: Sequence[JobSpec], lock: Lock) -> Iterator[SpecProblem]:
    """Specs whose names are those of an earlier version of another job."""
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
