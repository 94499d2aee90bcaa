"""Everything that is found about the contracts of a project in one run, accepted findings among it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from server_jobs.project import Project

from ..ir.spec import JobSpec
from ..ir.typescript_keys import is_insertable
from ..problems.problem import SpecProblem
from ..read.spec_files import SpecFile, read_spec_files
from .accepted import read_accepted
from .against_lock import findings_against_lock
from .contract import Contract, contracts_of
from .contract_rules import ChangeRule
from .finding import ContractFinding
from .judge import unique_findings
from .lock.lock_file import Lock
from .spec_places import SpecPlaces
from .ways_out import ways_out


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
    """What the specs break, in reading order; `others` are findings of another comparison, to be accepted as well.

    `promised`, the contracts of the jobs, the `files` of the specs, and `needs`, the files that each file refers to,
    save time if they are known already.
    """
    today = today or datetime.now(UTC).date()
    accepted, now = read_accepted(project), promised or contracts_of(jobs)
    found = files or read_spec_files(project.root, project.root / project.specs)
    places = SpecPlaces(found, needs=needs)
    held = [*findings_against_lock(project, lock, jobs, now, places), *others]
    judged = accepted.apply(unique_findings(_that_matter(project, held, jobs)), today)
    judged += ways_out(project, lock, judged, jobs, now, places)
    names = {*(job.class_name for job in jobs), *lock.jobs, *lock.settled, *(finding.job for finding in judged)}
    return tuple(unique_findings([*judged, *accepted.leftovers(today, names)]))


def _that_matter(
    project: Project, found: Iterable[ContractFinding], jobs: Sequence[JobSpec]
) -> Iterator[ContractFinding]:
    """The findings without new defaults of jobs that only Python stores, which writes defaults out."""
    named = {job.class_name: job for job in jobs}
    for finding in found:
        if finding.rule == ChangeRule.DEFAULT_CHANGED:
            job = named.get(finding.job)
            if "typescript" not in project.outputs or not (job is None or is_insertable(job)):
                continue
        yield finding
