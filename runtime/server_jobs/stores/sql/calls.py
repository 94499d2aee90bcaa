"""Execute the statements of a dialect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from ...domain.clock import Clock
from ...domain.interfaces import Database, Row, Statement, Value
from ...domain.record import NewJob
from ...domain.text_limits import is_storable
from .claims import Claims
from .dialect import dialect_of
from .parameters import EPOCH, CallMaker, MakeCall, json_lists, json_of, timestamp
from .rows import time_of

TRIES = 5  # the job with the unique key may finish between two statements


class Calls:
    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.name = database.name
        self._dialect = dialect_of(database)
        self._statements = self._dialect.statements
        self._make = make = CallMaker(database, clock)
        self._call, self._waiting_call = make.call, make.waiting_call
        self._claims = Claims(database, make, clock)

    async def _run(self, statement: Statement, **parameters: Value) -> Sequence[Row]:
        return (await self.database.run(self._call(statement, **parameters)))[0]

    async def _run_with(self, setting: Statement | None, statement: Statement, **parameters: Value) -> Sequence[Row]:
        """Like `_run`, after a statement with a setting for this transaction, if the dialect has one."""
        before = [] if setting is None else [self._call(setting)]
        return (await self.database.run(*before, self._call(statement, **parameters)))[-1]

    async def _run_by_id(self, statement: Statement, given_id: str, **parameters: Value) -> Sequence[Row]:
        """Like `_run`. An id that no database can store matches nothing; some databases reject it."""
        return await self._run(statement, id=given_id, **parameters) if is_storable(given_id) else ()

    async def _run_of_batch(self, statement: Statement, batch_id: str, **parameters: Value) -> Sequence[Row]:
        """Like `_run_by_id`, for the jobs of a batch."""
        return await self._run(statement, batch_id=batch_id, **parameters) if is_storable(batch_id) else ()

    async def _call_at_one_time(self) -> MakeCall:
        """Return a function like `_call`, for the statements of one transaction: all of them get one time.

        It is the present time of the database.
        """
        (row,) = await self._run(self._statements.NOW)
        return self._make.call_at(timestamp(time_of(row["now"]) or EPOCH))

    def _call_with(self, keys: list[str | None]) -> MakeCall:
        """Return the function that makes calls for jobs with these unique keys."""
        return self._call if keys.count(None) == len(keys) else self._waiting_call

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
