"""Jobs that are stored in PostgreSQL while the next ones are made: all of them, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import pytest
from server_jobs.databases.postgres import PostgresDatabase
from server_jobs.databases.postgres_connection import Call, PostgresConnection
from server_jobs.databases.postgres_errors import RepeatableError
from server_jobs.errors import InvalidParamsError
from server_jobs.ports import Row, Statement, Value
from server_jobs.record import NewJob
from server_jobs.stores.sql import SqlStore

from tests.conformance.examples import job
from tests.conformance.postgres_databases import postgres_connection

STORING = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND xact_start < now() AND query LIKE '%INSERT INTO jobs%'
"""
CHUNKS = 2500  # jobs, for more than one statement


async def test_jobs_are_made_while_those_before_them_are_being_stored(url: str) -> None:
    storing: list[int] = []

    def made() -> Iterator[NewJob]:
        for number in range(CHUNKS):
            if number == CHUNKS - 1:
                storing.extend(count for (count,) in connection.execute(STORING))
            yield job(f"{number:04}")

    async with opened(url) as store:
        with postgres_connection(url) as connection:
            answers = await store.insert(made())

        assert [(one.id, one.created) for one in answers] == [(f"{number:04}", True) for number in range(CHUNKS)]
        assert await count_of(store) == CHUNKS
    assert storing == [1]


async def test_when_a_job_cannot_be_made_none_is_stored_and_the_connection_goes_on(url: str) -> None:
    def made() -> Iterator[NewJob]:
        yield from (job(f"{number:04}") for number in range(CHUNKS))
        raise InvalidParamsError("SendEmail", ())

    async with opened(url) as store:
        process = await process_of(store)
        with pytest.raises(InvalidParamsError):
            await store.insert(made())

        assert await count_of(store) == 0
        assert await process_of(store) == process


async def test_a_transaction_that_was_undone_is_repeated_with_the_jobs_that_were_made(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, undone = PostgresConnection.stream, 0

    async def undone_twice(
        self: PostgresConnection, calls: Iterable[Call], *, prepared: bool
    ) -> Sequence[Sequence[Row]]:
        nonlocal undone
        if undone < 2:
            undone += 1
            await real(self, islice(calls, undone), prepared=prepared)
            await self.driver.execute("TRUNCATE jobs")
            raise RepeatableError("a deadlock")
        return await real(self, calls, prepared=prepared)

    monkeypatch.setattr(PostgresConnection, "stream", undone_twice)
    async with opened(url) as store:
        answers = await store.insert(job(f"{number:04}") for number in range(CHUNKS))

        assert len(answers) == CHUNKS
        assert all(answer.created for answer in answers)
        assert await count_of(store) == CHUNKS


async def test_jobs_with_unique_keys_are_stored_in_the_order_of_their_keys(url: str) -> None:
    async with opened(url) as store:
        holders = await store.insert(job(f"{number:04}", unique_key=f"{-number % 7}") for number in range(CHUNKS))

        assert [one.created for one in holders] == [number < 7 for number in range(CHUNKS)]
        assert {one.id for one in holders} == {f"{number:04}" for number in range(7)}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore(PostgresDatabase(url, max_connections=1))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def count_of(store: SqlStore) -> int:
    return sum(count.count for count in await store.count_jobs())


async def process_of(store: SqlStore) -> Value:
    """The process of the server that serves the only connection."""
    ((row,),) = await store.database.run((Statement("SELECT pg_backend_pid() AS pid", writes=False), {}))
    return row["pid"]
