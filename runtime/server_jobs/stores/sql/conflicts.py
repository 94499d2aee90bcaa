"""New jobs that take the place of unfinished jobs with the same unique key: see `OnConflict`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ...domain.interfaces import Row
from ...domain.options import OnConflict
from ...domain.record import Inserted, NewJob
from .rows import text_of


def is_kept(job: NewJob) -> bool:
    """Whether an unfinished job with the same unique key stays as it is."""
    return job.on_conflict is OnConflict.KEEP or job.unique_key is None


def merged(jobs: Iterable[NewJob]) -> list[NewJob]:
    """Return one job for each unique key: the last one, under the id of the first one.

    The result equals one insert after another. One statement cannot change a row twice.
    """
    last: dict[str, NewJob] = {}
    for job in jobs:
        key = job.unique_key or ""
        last[key] = job._replace(id=last[key].id) if key in last else job
    return list(last.values())


def ids_by_key(jobs: Iterable[NewJob]) -> Mapping[str, str]:
    """Return the ids of jobs that take the place of others, by unique key."""
    return {job.unique_key or "": job.id for job in jobs}


def owners_of(rows: Sequence[Row]) -> dict[str, str]:
    """Return the ids of jobs by unique key."""
    return {text_of(row["unique_key"]): text_of(row["id"]) for row in rows}


def answer_of(job: NewJob, owners: Mapping[str, str], stored: Collection[str]) -> Inserted | None:
    """Return the answer for a job that may replace another one. None: the owner of its key has changed.

    `owners` are the stored jobs by unique key. `stored` are the ids that were stored before.
    """
    owner = owners.get(job.unique_key or "")
    if owner is None:
        return Inserted(job.id, created=False) if job.id in stored else None
    return Inserted(owner, created=owner == job.id)
