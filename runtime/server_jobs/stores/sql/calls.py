"""Execute the statements of a dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

from ...domain.clock import Clock
from ...domain.interfaces import Database, Row, Statement, Value
from ...domain.record import NewJob
from ...domain.text_limits import is_storable
from ..claims import Claims
from ..dialect import dialect_of
from ..pages import Pages
from ..rows import json_lists, json_of, timestamp

BoundCall = tuple[Statement, Mapping[str, Value]]

TRIES = 5  # the job with the unique key may finish between two statements


class Calls:
    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.name = database.name
        self._clock = clock
        self._dialect = dialect_of(database)
        self._statements = self._dialect.statements
        self._made: dict[tuple[str, bool], Statement] = {}
        self._pages = Pages(
            self._statements, lambda sql, parameters: self._run_with(self._statements.AVOID_JIT, sql, **parameters)
        )
        self._claims = Claims(database, self._call, self._waiting_call, clock)

    async def _run(self, sql: str, **parameters: Value) -> Sequence[Row]:
        return (await self.database.run(self._call(sql, **parameters)))[0]

    async def _run_with(self, setting: str | None, sql: str, **parameters: Value) -> Sequence[Row]:
        """Like `_run`, after a statement with a setting for this transaction, if the dialect has one."""
        before = [] if setting is None else [self._call(setting)]
        return (await self.database.run(*before, self._call(sql, **parameters)))[-1]

    async def _run_by_id(self, sql: str, given_id: str, **parameters: Value) -> Sequence[Row]:
        """Like `_run`. An id that no database can store matches nothing; some databases reject it."""
        return await self._run(sql, id=given_id, **parameters) if is_storable(given_id) else ()

    def _call(self, sql: str, **parameters: Value) -> BoundCall:
        """Return the statement with the time expression, and its parameters."""
        return self._statement(sql), self._timed(parameters)

    def _waiting_call(self, sql: str, **parameters: Value) -> BoundCall:
        """Like `_call`, for a statement that may wait for other transactions."""
        return self._statement(sql, may_wait=True), self._timed(parameters)

    def _call_with(self, keys: Iterable[str | None]) -> Callable[..., BoundCall]:
        """Return the function that makes calls for jobs with these unique keys."""
        return self._call if all(key is None for key in keys) else self._waiting_call

    def _timed(self, parameters: dict[str, Value]) -> dict[str, Value]:
        if self._clock is not None:
            parameters["now"] = timestamp(self._clock.now())
        return parameters

    def _statement(self, sql: str, *, may_wait: bool = False) -> Statement:
        statement = self._made.get((sql, may_wait))
        if statement is None:
            now = self.database.now if self._clock is None else self._statements.GIVEN_NOW
            writes = "SELECT" not in sql.lstrip()[:6]
            # A power cut ends the processes with these claims too.
            is_lease = sql in (self._statements.CLAIM, self._statements.RENEW, self._statements.REPORT_WORKER)
            statement = self._made[sql, may_wait] = Statement(
                sql.replace("{now}", now), writes, may_be_forgotten=is_lease, may_wait=may_wait
            )
        return statement

    async def _key_owners(self, unique_keys: Sequence[str | None], ids: Sequence[str] = ()) -> Sequence[Row]:
        """Return the unfinished jobs with these unique keys, and the jobs with these ids without their key."""
        keys = json_lists([key for key in unique_keys if key is not None])
        calls = [
            self._call(self._statements.KEY_OWNERS, unique_keys=some_keys, ids=some_ids)
            for some_keys, some_ids in zip_longest(keys, json_lists(ids), fillvalue="[]")
        ]
        return [row for rows in await self.database.run(*calls) for row in rows]

    async def _replaced_jobs(self, job: NewJob) -> Sequence[Row]:
        """Return the running jobs that gave up the unique key of this job."""
        return await self._run(self._statements.REPLACED_JOBS, unique_keys=json_of([job.unique_key]))


def ids_or_none(ids: Sequence[str] | None) -> str | None:
    return None if ids is None else json_of([job_id for job_id in ids if is_storable(job_id)])
