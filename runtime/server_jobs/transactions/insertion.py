"""The statements that store jobs, for any driver: in its parameter style, with the time of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Unpack, cast

from ..databases.parameter_styles import PARAMETER_MARKS, in_style
from ..definition import D, JobDefinition, P, R
from ..domain.clock import POSTGRES_NOW, SQLITE_NOW
from ..domain.enqueue_options import EnqueueOptions
from ..domain.interfaces import POSTGRES_CHANNEL, Value
from ..domain.record import NewJob
from ..domain.table_names import in_schema
from ..errors import InvalidOptionError
from ..middleware import enqueuing
from ..stores import postgres_statements, statements
from ..stores.dialect import Statements
from ..stores.rows import json_of, new_job_row, own_values, shared_parameters

Parameters = tuple[Value, ...] | dict[str, Value]
Call = tuple[str, Parameters]
"""A statement and its parameters."""
StatementName = Literal["INSERT_ONE", "INSERT_MANY", "KEY_OWNERS"]

DIALECTS: Mapping[str, tuple[Statements, str]] = {
    "sqlite": (cast("Statements", statements), SQLITE_NOW),
    "postgresql": (cast("Statements", postgres_statements), POSTGRES_NOW),
}
"""The statements of each kind of database, and its time."""
_WITH_NAMES = ("named", "pyformat")


@dataclass(frozen=True, slots=True)
class Insertion:
    """A statement that stores jobs, with parameters as the driver takes them: a tuple, or a dict for named ones.

    It returns a row with the id of each stored job. A job is not stored if an unfinished job has its unique key.
    """

    ids: tuple[str, ...]
    sql: str
    parameters: Parameters


class Target(NamedTuple):
    """The kind of database, the parameter style of the driver, and the PostgreSQL schema of the tables."""

    dialect: str
    paramstyle: str
    schema: str | None

    def inserts(self, jobs: Sequence[NewJob], *, announce: bool) -> Call:
        """Return the statement that stores jobs of one call and returns their ids."""
        if len(jobs) == 1:
            return self._call("INSERT_ONE", new_job_row(jobs[0]), announce=announce)
        many = {"jobs": json_of({job.id: own_values(job) for job in jobs})}
        return self._call("INSERT_MANY", {**shared_parameters(jobs[0]), **many}, announce=announce)

    def key_owners(self, jobs: Sequence[NewJob]) -> Call:
        """Return the query of the unfinished jobs with the unique keys of these jobs: key and id."""
        return self._call("KEY_OWNERS", {"unique_keys": json_of([job.unique_key for job in jobs]), "ids": "[]"})

    def statement(self, name: StatementName, *, announce: bool = False) -> tuple[str, tuple[str, ...]]:
        """Return a statement, and the names of its parameters in order. `announce`: its commit wakes workers."""
        return _statement(self, name, announce and self.dialect == "postgresql")

    def _call(self, name: StatementName, values: dict[str, Value], *, announce: bool = False) -> Call:
        sql, names = self.statement(name, announce=announce)
        return sql, (values if self.paramstyle in _WITH_NAMES else tuple(values[name] for name in names))


@lru_cache(maxsize=256)
def _statement(target: Target, name: StatementName, announce: bool) -> tuple[str, tuple[str, ...]]:
    of, now = DIALECTS[target.dialect]
    sql: str = getattr(of, name).strip()
    if name != "KEY_OWNERS":
        sql = sql.replace(of.WAIT_LIMIT, "")  # the application sets the lock timeout of its transaction
    if announce:  # to the transaction: PostgreSQL sends it at the commit
        sql += f", pg_notify('{POSTGRES_CHANNEL}', '')"
    schema = target.schema if target.dialect == "postgresql" else None
    return in_style(in_schema(sql.replace("{now}", now), schema), target.paramstyle)


def insert_job(
    job: type[JobDefinition[P, R, D]],
    params: P | D,
    *,
    dialect: Literal["sqlite", "postgresql"],
    paramstyle: str,
    **options: Unpack[EnqueueOptions],
) -> Insertion:
    """Return the statement that stores a job, for a driver that `later_in` does not take.

    `paramstyle` is the driver's name for its parameters, as in PEP 249: `qmark`, `numeric`, `named`, `format` or
    `pyformat`; `numeric_dollar` stands for `$1`. The commit wakes workers. Middleware surrounds the call, not the
    execution. Otherwise like `later`.

        email = {"to": "ada@example.com", "subject": "Hello"}
        insertion = insert_job(SendEmail, email, dialect="sqlite", paramstyle=sqlite3.paramstyle)
        with sqlite3.connect("server-jobs.sqlite3") as connection:
            stored = connection.execute(insertion.sql, insertion.parameters).fetchall()
        assert stored == [(insertion.ids[0],)]
    """
    return insert_jobs(job, (params,), dialect=dialect, paramstyle=paramstyle, **options)


def insert_jobs(
    job: type[JobDefinition[P, R, D]],
    params_list: Sequence[P | D],
    *,
    dialect: Literal["sqlite", "postgresql"],
    paramstyle: str,
    **options: Unpack[EnqueueOptions],
) -> Insertion:
    """Like `insert_job`, for many jobs in one statement. Raises `InvalidOptionError` for an empty list.

    readers = ["ada@example.com", "bob@example.com"]
    news = [{"to": reader, "subject": "News"} for reader in readers]
    insertion = insert_jobs(SendEmail, news, dialect="postgresql", paramstyle="format")
    assert len(insertion.ids) == 2
    """
    _check("dialect", dialect, DIALECTS)
    _check("paramstyle", paramstyle, PARAMETER_MARKS)
    jobs = list(job.new_jobs(params_list, **options))
    if not jobs:
        raise InvalidOptionError("params_list is empty; insert_jobs needs the params of at least one job")
    with enqueuing(job.current_hooks().middleware, jobs) as new:
        sql, parameters = Target(dialect, paramstyle, job.database_schema).inserts(in_key_order(new), announce=True)
    return Insertion(tuple(one.id for one in new), sql, parameters)


def in_key_order(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """Return the jobs in an order of their unique keys that all transactions share, so that they do not deadlock."""
    return sorted(jobs, key=lambda job: job.unique_key or "")


def _check(name: str, value: str, known: Mapping[str, object]) -> None:
    if value not in known:
        raise InvalidOptionError(f"{name} must be one of {', '.join(known)}, not {value!r}")
