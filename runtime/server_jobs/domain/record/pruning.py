"""Deleting finished jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ...errors import InvalidOptionError
from ..text_limits import check_text
from .filter import EVERY_JOB, JobFilter
from .job import JobStatus

LONGEST_PRUNE_STEP = 10_000
PRUNE_STEP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRule:
    """Deletes finished jobs of this name (None: any) and status that ended more than `age` ago."""

    status: JobStatus
    age: timedelta
    job_name: str | None = None

    def __post_init__(self) -> None:
        if not self.status.is_finished:
            raise InvalidOptionError(f"only finished jobs can be pruned, and {self.status} ones are not")
        if self.job_name is not None:
            check_text("job_name", self.job_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneStep:
    """One step of a scan over all jobs by id: the `limit` jobs after the id `after`.

    `among` limits the step to jobs that match a filter, without its `where`. With `ids`, the step is about these jobs
    instead. Raises `InvalidOptionError` unless `limit` is 1 to 10,000.
    """

    rules: tuple[PruneRule, ...]
    after: str = ""
    limit: int = PRUNE_STEP
    dry_run: bool = False
    among: JobFilter = EVERY_JOB
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LONGEST_PRUNE_STEP:
            raise InvalidOptionError(f"limit must be between 1 and {LONGEST_PRUNE_STEP}, not {self.limit}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """The number of jobs that a step deleted or would delete, and the last scanned id; None where the scan ends."""

    count: int
    after: str | None
