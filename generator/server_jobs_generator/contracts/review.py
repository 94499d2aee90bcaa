"""Everything that is found about the contracts of a project in one run, accepted findings among it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from server_jobs.project import Project

from ..spec import JobSpec
from ..spec_files import read_spec_files
from .accepted import read_accepted
from .against_lock import findings_against_lock, not_bumped
from .finding import ContractFinding
from .judge import unique_findings
from .lock import Lock
from .spec_places import SpecPlaces


def review(
    project: Project,
    lock: Lock,
    jobs: Sequence[JobSpec],
    *,
    others: Sequence[ContractFinding] = (),
    today: date | None = None,
) -> tuple[ContractFinding, ...]:
    """What the specs break, in reading order; `others` are findings of another comparison, to be accepted as well."""
    today = today or datetime.now(UTC).date()
    accepted = read_accepted(project)
    found = accepted.apply(unique_findings([*findings_against_lock(project, lock, jobs), *others]), today)
    places = SpecPlaces(read_spec_files(project.root, project.root / project.specs))
    ways_out = list(not_bumped(project, found, jobs, places))
    return tuple(unique_findings([*found, *ways_out, *accepted.leftovers(today)]))
