"""The statements that store jobs, for any driver: in its parameter style, with the time of the database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from ..databases.parameter_styles import PARAMETER_MARKS, in_style
from ..definition import AnyDefinition
from ..domain.clock import POSTGRES_NOW, SQLITE_NOW
from ..domain.interfaces import Statement, Value
from ..domain.options import OnConflict
from ..domain.record import NewJob
from ..domain.table_names import in_schema
from ..errors import InvalidOptionError
from ..middleware import enqueuing
from ..stores.sql.conflicts import ids_by_key, is_kept
from ..stores.sql.dialect import DialectName, statements_of
from ..stores.sql.parameters import json_of, new_job_lists, new_job_row, own_values, shared_parameters
from .wake_ups import NOTIFICATION

Parameters = tuple[Value, ...] | dict[str, Value]
Call = tuple[str, Parameters]
"""A statement and its parameters."""
StatementName = Literal[
    "INSERT_ONE", "INSERT", "KEY_OWNERS", "CANCEL_LATE_OWNERS", "SUPERSEDE", "REPLACE_ONE", "REPLACE", "READ_NAME"
]

DIALECTS: Mapping[str, tuple[DialectName, str]] = {
    "sqlite": ("sqlite", SQLITE_NOW),
    "postgresql": ("postgresql", POSTGRES_NOW),
}
"""Each kind of database, and its time."""
_JSON = re.compile(r"CAST\((:[a-z_]+) AS (jsonb?)\)")
_WITH_NAMES = ("named", "pyformat")


@dataclass(frozen=True, slots=True)
class Insertion:
    """A statement that stores jobs, with parameters as the driver takes them: a tuple, or a dict for named ones.

    On PostgreSQL, the parameters of `insert_jobs` contain lists of texts, for the type `text[]`.

    It returns a row with the id of each stored job. A job is not stored if an unfinished job has its unique key.
    `batch_id` is the id of the batch of `insert_jobs`, and None for `insert_job`.
    """

    ids: tuple[str, ...]
    sql: str
    parameters: Parameters
    batch_id: str | None = None


class Target(NamedTuple):
    """The kind of database, the parameter style of the driver, and the PostgreSQL schema of the tables."""

    dialect: str
    paramstyle: str
    schema: str | None

    def inserts(self, jobs: Sequence[NewJob], *, column: str | None = None) -> Call:
        """Return the statement that stores jobs of one call and returns their ids, and this column if it is given."""
        if len(jobs) == 1:
            return self._call("INSERT_ONE", new_job_row(jobs[0]), column=column)
        return self._call("INSERT", self._many(jobs), column=column)

    def supersedes(self, jobs: Sequence[NewJob]) -> Call:
        """Return the statement that takes the unique keys of these jobs from running jobs."""
        return self._call("SUPERSEDE", {"keys": json_of(ids_by_key(jobs))})

    def replaces(self, jobs: Sequence[NewJob], *, column: str | None = None) -> Call:
        """Like `inserts`, in the place of pending jobs. Return the ids of the stored jobs, with their unique keys."""
        reschedules: dict[str, Value] = {"reschedules": int(jobs[0].on_conflict is OnConflict.RESCHEDULE)}
        if len(jobs) == 1:
            return self._call("REPLACE_ONE", {**new_job_row(jobs[0]), **reschedules}, column=column)
        return self._call("REPLACE", {**self._many(jobs), **reschedules}, column=column)

    def cancels_late(self, jobs: Sequence[NewJob]) -> Call:
        """Return the statement that cancels late jobs with the unique keys of these jobs."""
        return self._call("CANCEL_LATE_OWNERS", {"unique_keys": json_of([job.unique_key for job in jobs])})

    def key_owners(self, jobs: Sequence[NewJob]) -> Call:
        """Return the query of the unfinished jobs with the unique keys of these jobs: key and id."""
        return self._call("KEY_OWNERS", {"unique_keys": json_of([job.unique_key for job in jobs]), "ids": "[]"})

    def reads_name(self) -> Call:
        """Return the query of the name that the database holds."""
        return self._call("READ_NAME", {})

    def statement(self, name: StatementName, *, column: str | None = None) -> tuple[str, tuple[str, ...]]:
        """Return a statement, and the names of its parameters in order. It returns the column too."""
        return _statement(self, name, column)

    def _many(self, jobs: Sequence[NewJob]) -> dict[str, Value]:
        shared = shared_parameters(jobs[0])
        if self.dialect == "postgresql":
            return {**shared, **new_job_lists(jobs)}
        return {**shared, "jobs": json_of(own_values(jobs))}

    def _call(self, name: StatementName, values: dict[str, Value], *, column: str | None = None) -> Call:
        sql, names = self.statement(name, column=column)
        return sql, (values if self.paramstyle in _WITH_NAMES else tuple(values[name] for name in names))


@lru_cache(maxsize=256)
def _statement(target: Target, name: StatementName, column: str | None) -> tuple[str, tuple[str, ...]]:
    dialect, now = DIALECTS[target.dialect]
    of = statements_of(dialect)
    statement: Statement = getattr(of, name)
    sql = statement.sql.strip()
    if (limit := of.fragments.get("bounded")) is not None:  # the application sets the lock timeout of its transaction
        sql = sql.replace(f" AND {limit}", "").replace(f"\n WHERE {limit}", "")
    if column is not None:  # it ends with RETURNING
        sql += f", {column}"
    sql = _JSON.sub(r"CAST(CAST(\1 AS text) AS \2)", sql)  # a codec of the application for JSON must not apply
    schema = target.schema if target.dialect == "postgresql" else None
    return in_style(in_schema(sql.replace("{now}", now), schema), target.paramstyle)


def insertion_of(job: AnyDefinition, jobs: Sequence[NewJob], dialect: str, paramstyle: str) -> Insertion:
    """Return the statement for new jobs of this class. Raises `InvalidOptionError`.

    It is raised for an unknown dialect or style, and for jobs of two databases.
    """
    _check("dialect", dialect, DIALECTS)
    _check("paramstyle", paramstyle, PARAMETER_MARKS)
    if not jobs:
        raise InvalidOptionError("params_list is empty; insert_jobs needs the params of at least one job")
    if not all(map(is_kept, jobs)):
        message = "one statement replaces no job; use later_in, or pass on_conflict='keep'"
        raise InvalidOptionError(f"{job.job_name} has on_conflict {jobs[0].on_conflict.value!r}, and {message}")
    job.place_of(jobs)
    with enqueuing(job.current_hooks().middleware, jobs) as new:
        column = NOTIFICATION if dialect == "postgresql" else None
        sql, parameters = Target(dialect, paramstyle, job.database_schema).inserts(in_key_order(new), column=column)
    return Insertion(tuple(one.id for one in jobs), sql, parameters, jobs[0].batch_id)


def in_key_order(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """Return the jobs in an order of their unique keys that all transactions share, so that they do not deadlock."""
    return sorted(jobs, key=lambda job: job.unique_key or "")


def _check(name: str, value: str, known: Mapping[str, object]) -> None:
    if value not in known:
        raise InvalidOptionError(f"{name} must be one of {', '.join(known)}, not {value!r}")
