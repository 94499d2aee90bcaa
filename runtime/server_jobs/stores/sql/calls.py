"""Execute the statements of a dialect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from ...domain.clock import Clock
from ...domain.interfaces import Database, Row, Value
from ...domain.record import NewJob
from ...domain.text_limits import is_storable
from ..call_maker import CallMaker, MakeCall
from ..claims import Claims
from ..dialect import dialect_of
from ..pages import Pages
from ..rows import EPOCH, json_lists, json_of, time_of, timestamp

TRIES = 5  # the job with the unique key may finish between two statements


class Calls:
    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.name = database.name
        self._dialect = dialect_of(database)
        self._statements = self._dialect.statements
        self._make = make = CallMaker(database, clock)
        self._call, self._waiting_call, self._query = make.write, make.write_waiting, make.read
        self._pages = Pages(
            self._statements, lambda sql, parameters: self._read_with(self._statements.AVOID_JIT, sql, **parameters)
        )
        self._claims = Claims(database, make, clock)

    async def _run(self, sql: str, **parameters: Value) -> Sequence[Row]:
        return (await self.database.run(self._call(sql, **parameters)))[0]

    async def _read(self, sql: str, **parameters: Value) -> Sequence[Row]:
        """Like `_run`, for a statement that only reads."""
        return (await self.database.run(self._query(sql, **parameters)))[0]

    async def _read_with(self, setting: str | None, sql: str, **parameters: Value) -> Sequence[Row]:
        """Like `_read`, after a statement with a setting for this transaction, if the dialect has one."""
        before = [] if setting is None else [self._query(setting)]
        return (await self.database.run(*before, self._query(sql, **parameters)))[-1]

    async def _read_by_id(self, sql: str, given_id: str, **parameters: Value) -> Sequence[Row]:
        """Like `_read`. An id that no database can store matches nothing; some databases reject it."""
        return await self._read(sql, id=given_id, **parameters) if is_storable(given_id) else ()

    async def _call_at_one_time(self) -> MakeCall:
        """Return a function like `_call`, for the statements of one transaction: all of them get one time.

        It is the present time of the database.
        """
        (row,) = await self._read(self._statements.NOW)
        return self._make.write_at(timestamp(time_of(row["now"]) or EPOCH))

    def _call_with(self, keys: Iterable[str | None]) -> MakeCall:
        """Return the function that makes calls for jobs with these unique keys."""
        return self._call if all(key is None for key in keys) else self._waiting_call

    async def _key_owners(self, unique_keys: Sequence[str | None], ids: Sequence[str] = ()) -> Sequence[Row]:
        """Return the unfinished jobs with these unique keys, and the jobs with these ids without their key."""
        keys = json_lists([key for key in unique_keys if key is not None])
        calls = [
            self._query(self._statements.KEY_OWNERS, unique_keys=some_keys, ids=some_ids)
            for some_keys, some_ids in zip_longest(keys, json_lists(ids), fillvalue="[]")
        ]
        return [row for rows in await self.database.run(*calls) for row in rows]

    async def _replaced_jobs(self, job: NewJob) -> Sequence[Row]:
        """Return the running jobs that gave up the unique key of this job."""
        return await self._read(self._statements.REPLACED_JOBS, unique_keys=json_of([job.unique_key]))


def ids_or_none(ids: Sequence[str] | None) -> str | None:
    return None if ids is None else json_of([job_id for job_id in ids if is_storable(job_id)])
