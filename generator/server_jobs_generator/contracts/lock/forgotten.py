"""What the lock knew at a revision and does not know any more: rows of it may be queued, and nothing guards them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from server_jobs.contract.values import pointer_to
from server_jobs.project import Project

from ...ir.spec import JobSpec
from ...problems.problem import shown
from ..accepted import accepted_path
from ..contract_rules import ChangeRule
from ..finding import ContractFinding, Severity
from ..place import Place
from .lock_file import Lock, LockedJob, lock_path
from .redactions import is_covered, lasting_redactions

_FORGOTTEN = "the lock does not know it any more"
_QUEUED = "and jobs of it may be queued"


@dataclass(frozen=True, slots=True)
class LockThen:
    """The lock of a revision, as it is called there: `main:generated/contracts.lock.json`."""

    revision: str
    path: str
    lock: Lock

    def place(self, name: str, version: int) -> Place:
        """Where it has a version of a job."""
        return _place(f"{self.revision}:{self.path}", self.lock, name, version)


def forgotten_since(
    project: Project, then: LockThen, today: Lock, released: Lock, jobs: Iterable[JobSpec]
) -> Iterator[ContractFinding]:
    """A finding for each version of a job that has lost something; jobs whose specs are gone are told of as such.

    `released` is the lock of `today` once the specs as they are have been released.
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
    """What was lost of a version. It may be meant where `--forget` does just that."""

    version: int
    message: str
    may_be_meant: bool


def _losses(was: LockedJob, now: LockedJob) -> Iterator[_Loss]:
    # Of a version above all that are known the spec was lowered, which is a finding by itself.
    for version in (each for each in was.versions if each <= now.newest):
        known = now.versions.get(version, ())
        lost = sum(not any(each.has_schemas_of(one) for each in known) for one in was.versions[version])
        if not known:
            # Versions are forgotten from the oldest up; and what was current then leaves rows behind.
            may_be_meant = version < min(*now.versions, was.newest)
            yield _Loss(version, f"version {version} was released, and {_FORGOTTEN}, {_QUEUED}", may_be_meant)
        elif lost:
            others = "another contract" if lost == 1 else f"{lost} other contracts"
            message = f"version {version} was released with {others}, and {_FORGOTTEN}, {_QUEUED}"
            yield _Loss(version, message, may_be_meant=False)


def _shown_again(was: LockedJob, now: LockedJob, job: JobSpec) -> Iterator[_Loss]:
    """Values that only older rows have: what is still in params is told of by the spec that shows it."""
    for pointer in lasting_redactions(job, was.redact):
        if not is_covered(pointer, now.redact):
            yield _Loss(
                was.newest, f"{shown(pointer)} was redacted in older rows, and {_FORGOTTEN}", may_be_meant=False
            )


def _place(path: str, lock: Lock, name: str, version: int) -> Place:
    at = ("jobs", name, "versions", str(version))
    return Place(path, *lock.place_of(at), pointer_to(at))
