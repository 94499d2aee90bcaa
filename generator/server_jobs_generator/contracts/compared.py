"""The specs held against everything that was released, and the lock that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import Specs
from ..problems.problem import SpecProblem
from ..read.spec_files import SpecFile
from .contract import contracts_of
from .finding import ContractFinding
from .lock.lock_file import Lock, lock_path
from .lock.release import release
from .lock.settled import settled_entries
from .review import review


@dataclass(frozen=True, slots=True)
class Compared:
    """What the specs break, the lock as it will be, and the hashes of its entries that say nothing else than a spec."""

    findings: tuple[ContractFinding, ...]
    lock: File
    settled: Mapping[str, str]


def compare_contracts(
    project: Project,
    released: Lock,
    specs: Specs,
    files: Sequence[SpecFile | SpecProblem],
    others: Sequence[ContractFinding],
) -> Compared:
    """Hold all specs but those of settled jobs against what was released.

    `files` are those of the specs, `others` are findings of another comparison, to be accepted or not as these are.
    """
    jobs = [job for job in specs.jobs if job.class_name not in released.settled]
    promised = contracts_of(jobs)
    findings = review(project, released, jobs, others=others, promised=promised, files=files, needs=specs.needs)
    lock = release(released, jobs, promised)
    text = lock.dump()
    return Compared(findings, File(lock_path(project), text), settled_entries(lock, text, jobs, promised))
