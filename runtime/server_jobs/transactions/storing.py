"""The work of `later_in` with any driver: store jobs, find the owners of unique keys, and wake workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from ..domain.record import Inserted, NewJob, shared_fields
from ..domain.table_names import NAME_TABLE
from ..errors import DatabaseError, InvalidOptionError, SchemaMissingError
from ..middleware import Middleware, enqueuing
from ..stores.sql.conflicts import is_kept, merged
from ..stores.sql.rows import text_of
from .address import Address, address_of
from .insertion import DIALECTS, Call, Parameters, Target, in_key_order
from .wake_ups import NOTIFICATION, PRIVILEGES, column_of, forget, note_answer

Rows = Sequence[Sequence[Any]]

_TRIES = 5  # the job with the unique key may finish between two statements

# An undefined table or column, as PostgreSQL and SQLite report it.
_MISSING_CODES = ("42P01", "42703")
_INSUFFICIENT_PRIVILEGE = "42501"
_MISSING_WORDS = ("no such table: jobs", "table jobs has no column", f"no such table: {NAME_TABLE}")


@dataclass(frozen=True, slots=True)
class Storing:
    """Jobs of one call, to be stored through a connection of the application.

    `schema` is the PostgreSQL schema of the tables; None: the first schema of the connection's search path.
    `database_name` is the name that the database must hold; None: any or none.
    """

    jobs: Sequence[NewJob]
    schema: str | None
    middleware: Sequence[Middleware]
    database_name: str | None = None

    def run(
        self,
        dialect: str,
        paramstyle: str,
        execute: Callable[[str, Parameters], Rows],
        *,
        connection: object = None,
    ) -> Sequence[Inserted]:
        """Store the jobs and return one answer per job. Does not commit.

        `execute` returns all rows of a statement. `connection` is the connection of the PostgreSQL driver.
        """
        with self._surrounded(dialect) as jobs:
            steps = self._steps(jobs, Target(dialect, paramstyle, self.schema), connection)
            try:
                call = next(steps)
                while True:
                    try:
                        rows = execute(*call)
                    except Exception as error:  # noqa: BLE001  the steps decide about it
                        call = steps.throw(error)
                    else:
                        call = steps.send(rows)
            except StopIteration as end:
                return cast("Sequence[Inserted]", end.value)

    async def run_async(
        self,
        dialect: str,
        paramstyle: str,
        execute: Callable[[str, Parameters], Awaitable[Rows]],
        *,
        connection: object = None,
    ) -> Sequence[Inserted]:
        """Like `run`, with an async `execute`."""
        with self._surrounded(dialect) as jobs:
            steps = self._steps(jobs, Target(dialect, paramstyle, self.schema), connection)
            try:
                call = next(steps)
                while True:
                    try:
                        rows = await execute(*call)
                    except Exception as error:  # noqa: BLE001  the steps decide about it
                        call = steps.throw(error)
                    else:
                        call = steps.send(rows)
            except StopIteration as end:
                return cast("Sequence[Inserted]", end.value)

    @contextmanager
    def _surrounded(self, dialect: str) -> Iterator[Sequence[NewJob]]:
        if dialect not in DIALECTS:
            raise InvalidOptionError(f"later_in works on SQLite and PostgreSQL, not on {dialect}; use `later` instead")
        with enqueuing(self.middleware, self.jobs) as jobs:
            yield jobs

    def _steps(
        self, jobs: Sequence[NewJob], target: Target, connection: object
    ) -> Generator[Call, Rows, Sequence[Inserted]]:
        """Yield statements, receive their rows or errors, and return one answer per job.

        Raises `SchemaMissingError` with the name of the database.
        """
        try:
            return (yield from self._checked_steps(jobs, target, connection))
        except Exception as error:
            if not _reports_missing_tables(error):
                raise
            database = yield from _database_steps(target.dialect, connection)
            reported = _reported_by_driver(error)
            detail = next(iter(str(reported).splitlines()), "")  # psycopg shows the statement below
            message = f"the tables of the jobs are missing or outdated in {database}: {detail}"
            raise SchemaMissingError(message) from reported

    def _checked_steps(
        self, jobs: Sequence[NewJob], target: Target, connection: object
    ) -> Generator[Call, Rows, Sequence[Inserted]]:
        """Like `_steps`, with the errors of the library. A completion job has its own statement."""
        if self.database_name is not None:
            held = [text_of(name) for (name,) in (yield target.reads_name())]
            self._check_name(held, self.database_name)
        address = address_of(connection) if target.dialect == "postgresql" else None
        answers: list[Inserted] = []
        for _, group in groupby(jobs, key=shared_fields):
            alike = tuple(group)
            steps = _keeping_steps if all(map(is_kept, alike)) else _replacing_steps
            answers += yield from steps(alike, target, address)
        return answers

    def _check_name(self, held: Sequence[str], wanted: str) -> None:
        if held != [wanted]:
            name, place = (
                self.jobs[0].job_name,
                f"the database {' and '.join(held)}" if held else "a database without a name",
            )
            raise InvalidOptionError(
                f"{name} cannot be stored here: the transaction is in {place}, and these params belong to the database "
                f"{wanted}; begin the transaction there, or call `later`, which finds it"
            )


def _keeping_steps(
    jobs: Sequence[NewJob], target: Target, address: Address | None
) -> Generator[Call, Rows, Sequence[Inserted]]:
    """Like `_steps`, for jobs of one call that leave unfinished ones in place."""
    answers: dict[str, Inserted] = {}
    missing = in_key_order(jobs)
    for _ in range(_TRIES):
        created = yield from _waking(target.inserts, missing, target, address)
        answers |= {job_id: Inserted(job_id, created=True) for job_id in (text_of(row[0]) for row in created)}
        missing = [job for job in missing if job.id not in answers]
        if missing:
            owners = yield target.key_owners(missing)
            owner_of = {text_of(key): text_of(job_id) for key, job_id in owners}
            answers |= {
                job.id: Inserted(owner_of[job.unique_key], created=False)
                for job in missing
                if job.unique_key in owner_of
            }
            missing = [job for job in missing if job.id not in answers]
        if not missing:
            return [answers[job.id] for job in jobs]
        yield target.cancels_late(missing)
    raise _unsettled(missing[0])


def _replacing_steps(
    jobs: Sequence[NewJob], target: Target, address: Address | None
) -> Generator[Call, Rows, Sequence[Inserted]]:
    """Like `_steps`, for jobs of one call that take the place of unfinished ones."""
    owners: dict[str | None, str] = {}
    new = missing = merged(in_key_order(jobs))
    for _ in range(_TRIES):
        yield target.supersedes(missing)
        stored = yield from _waking(target.replaces, missing, target, address)
        owners |= {text_of(row[1]): text_of(row[0]) for row in stored}
        missing = [job for job in new if job.unique_key not in owners]
        if not missing:
            return [Inserted(owners[job.unique_key], created=owners[job.unique_key] == job.id) for job in jobs]
        yield target.cancels_late(missing)
    raise _unsettled(missing[0])


def _unsettled(job: NewJob) -> DatabaseError:
    return DatabaseError(f"jobs with the unique key {job.unique_key!r} come and go too fast to enqueue one; try again")


def _database_steps(dialect: str, connection: object) -> Generator[Call, Rows, str]:
    """Yield statements, receive their rows, and return the database of a transaction for an error message."""
    if dialect == "sqlite":
        files = [text_of(file) for _, _, file in (yield "PRAGMA database_list", ()) if file]
        return files[0] if files else "a database in memory"
    address = address_of(connection)
    return "this database" if address is None else "{}:{}/{}".format(*address)


def _waking(
    call: Callable[..., Call], jobs: Sequence[NewJob], target: Target, address: Address | None
) -> Generator[Call, Rows, Rows]:
    """Yield a statement of `Target` that stores jobs. Its commit wakes workers. Return the rows of the statement."""
    if target.dialect != "postgresql":
        return (yield call(jobs))
    column = column_of(address)
    try:
        rows = yield call(jobs, column=column)
    except Exception as error:
        if _INSUFFICIENT_PRIVILEGE in _codes_of(error):
            forget(address)
        raise
    if column == PRIVILEGES and rows and note_answer(address, everybody=rows[0][-2], me=rows[0][-1]):
        yield f"SELECT {NOTIFICATION}", ()
    return rows


def _reported_by_driver(error: Exception) -> BaseException:
    """Return the error of the driver. SQLAlchemy adds the statement and its parameters, with the params of the job."""
    reported: BaseException = getattr(error, "orig", None) or error
    return reported.__cause__ or reported


def _reports_missing_tables(error: Exception) -> bool:
    """Whether a driver reports a missing table or column. Libraries wrap the error of the driver."""
    return not _codes_of(error).isdisjoint(_MISSING_CODES) or any(words in str(error) for words in _MISSING_WORDS)


def _codes_of(error: Exception) -> set[object]:
    """Return the codes of PostgreSQL in the error of a driver or of the library around it."""
    causes = (error, getattr(error, "orig", None), error.__cause__)
    return {getattr(cause, name, None) for cause in causes for name in ("sqlstate", "pgcode")}
