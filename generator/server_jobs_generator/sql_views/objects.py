"""Everything that the specs ask for beside the tables, for each kind of database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..spec import JobSpec
from .postgresql import postgresql_functions, postgresql_objects
from .sql_object import SqlObject
from .sqlite import sqlite_objects

Objects = Mapping[str, tuple[SqlObject, ...]]
"""By dialect: what there is, in the order in which it can be created."""

DIALECTS = ("sqlite", "postgresql")


def wanted_objects(jobs: Iterable[JobSpec]) -> Objects:
    """The views of all jobs by name, with their indexes and the functions they need."""
    ordered = sorted(jobs, key=lambda job: job.spec_name)
    return {
        "sqlite": tuple(one for job in ordered for one in sqlite_objects(job)),
        "postgresql": tuple(_for_postgresql(ordered)),
    }


def _for_postgresql(jobs: list[JobSpec]) -> Iterator[SqlObject]:
    if jobs:
        yield from postgresql_functions()
    for job in jobs:
        yield from postgresql_objects(job)
