"""Everything that the specs ask for beside the tables, for each kind of database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from server_jobs.contract.values import fingerprint

from ...ir.spec import JobSpec
from .postgresql import postgresql_functions, postgresql_objects
from .sql_object import SqlObject
from .sqlite import sqlite_objects

Objects = Mapping[str, tuple[SqlObject, ...]]
"""By dialect: what there is, in the order in which it can be created."""

DIALECTS = ("sqlite", "postgresql")


def wanted_objects(jobs: Iterable[JobSpec]) -> Objects:
    """The views of all jobs that are to have one, by name, with their indexes and the functions they need."""
    ordered = sorted((job for job in jobs if job.has_view), key=lambda job: job.spec_name)
    of_jobs = [_objects_of(_Job(job)) for job in ordered]
    functions = tuple(postgresql_functions()) if ordered else ()
    return {
        "sqlite": tuple(one for objects, _ in of_jobs for one in objects),
        "postgresql": (*functions, *(one for _, objects in of_jobs for one in objects)),
    }


def objects_hash(job: JobSpec) -> str:
    """A hash of what is there for one job."""
    return fingerprint([[one.create for one in objects] for objects in _objects_of(_Job(job))] if job.has_view else [])


@dataclass(frozen=True, slots=True)
class _Job:
    """A job that is the same as another one when it comes from the same file with the same text."""

    spec: JobSpec = field(compare=False)
    key: tuple[str, str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.spec.path, self.spec.class_name, self.spec.digest))


# One run asks twice, for a hash and for a revision.
@lru_cache(maxsize=4096)
def _objects_of(job: _Job) -> tuple[tuple[SqlObject, ...], tuple[SqlObject, ...]]:
    return tuple(sqlite_objects(job.spec)), tuple(postgresql_objects(job.spec))
